-- The lessons of one modality with their records for one family, by the rules of rules.py. It begins with the table
-- `counts` (action, modality, source, gains, against, dry): see reader.py.
-- Parameters: modality, family, needs (those that the task meets, JSON; null: all), base (rate over all), without (a
-- source), families (left out, JSON), shrinkage, gain_points, quarantine_points, avoid_against.
added as (
  select lesson.id, lesson.polarity, lesson.action,
    sum(gains) as all_gains,
    sum(gains + against + dry) as all_tried,
    sum(iif(counts.modality = :modality, gains, 0)) as gains,
    sum(iif(counts.modality = :modality, against, 0)) as against,
    sum(iif(counts.modality = :modality, gains + against + dry, 0)) as tried,
    sum(iif(counts.source <> 'run' and counts.modality = :modality, gains, 0)) as prior_gains,
    sum(iif(counts.source <> 'run' and counts.modality = :modality, against, 0)) as prior_against
  from lesson join counts on counts.action = lesson.action
  where lesson.modality = :modality and lesson.state = 'active'
    and (:needs is null or lesson.needs in (select value from json_each(:needs)))
  group by lesson.id
),
vouched as materialized (
  select action, sum(gains) as gains, sum(gains + against + dry) as tried from tally
  where family = :family and source not in ('run', :without) and family not in (select value from json_each(:families))
  group by action
),
counted as (
  select added.id, polarity, all_gains, all_tried, added.gains, added.against, added.tried, prior_gains, prior_against,
    ifnull(own.gains, 0) + ifnull(vouched.gains, 0) as family_gains,
    ifnull(own.gains + own.against + own.dry, 0) + ifnull(vouched.tried, 0) as family_tried,
    ifnull(own.gains, 0) as own_gains, ifnull(own.against, 0) as own_against, ifnull(own.dry, 0) as own_dry
  from added
  left join tally as own on own.action = added.action and own.modality = :modality and own.family = :family
    and own.source = 'run' and :family not in (select value from json_each(:families))
  left join vouched on vouched.action = added.action
),
ranked as materialized (
  select *,
    (family_gains + :shrinkage * (gains + :shrinkage * (all_gains + :shrinkage * :base) / (all_tried + :shrinkage))
      / (tried + :shrinkage)) / (family_tried + :shrinkage) as rate,
    :gain_points * max(own_gains - (prior_gains + prior_against = 0), 0) - own_against - own_dry as points
  from counted
),
candidate as (
  select *,
    case polarity when 1 then points <= :quarantine_points
      else own_gains >= 1 and 2 * own_gains > own_against end as is_quarantined,
    case polarity when 1 then gains >= 1 and points > :quarantine_points
      else against >= :avoid_against and against > gains
        and not (own_gains >= 1 and 2 * own_gains > own_against) end as is_eligible
  from ranked
)
