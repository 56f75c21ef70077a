-- The lessons of one modality with their records for one family, by the rules of rules.py. It begins with the table
-- `counts`, which has the columns of `total`: see reader.py.
-- Parameters: modality, family, base (rate over all), own, imports, packs (the sources of evidence; empty: none of it
-- counts for the family), shrinkage, gain_points, quarantine_points, avoid_against.
-- `not materialized`: only the columns and lessons that are asked for are computed, which halves the time.
vouched as materialized (
  select action, sum(gains) as gains, sum(gains + against + dry) as tried from tally
  where family = :family and source in (:imports, :packs)
  group by action
),
counted as not materialized (
  select lesson.id, lesson.polarity, lesson.needs,
    counts.all_gains, counts.all_tried, counts.gains, counts.against,
    counts.gains + counts.against + counts.dry as tried, counts.prior_gains, counts.prior_against,
    ifnull(own.gains, 0) + ifnull(vouched.gains, 0) as family_gains,
    ifnull(own.gains + own.against + own.dry, 0) + ifnull(vouched.tried, 0) as family_tried,
    ifnull(own.gains, 0) as own_gains, ifnull(own.against, 0) as own_against, ifnull(own.dry, 0) as own_dry
  from lesson
  cross join counts on counts.action = lesson.action and counts.modality = :modality
  left join tally as own on own.action = lesson.action and own.modality = :modality and own.family = :family
    and own.source = :own
  left join vouched on vouched.action = lesson.action
  where lesson.modality = :modality and lesson.state = 'active' and lesson.task = ''
),
ranked as not materialized (
  select *,
    (family_gains + :shrinkage * (gains + :shrinkage * (all_gains + :shrinkage * :base) / (all_tried + :shrinkage))
      / (tried + :shrinkage)) / (family_tried + :shrinkage) as rate,
    :gain_points * max(own_gains - (prior_gains + prior_against = 0), 0) - own_against - own_dry as points
  from counted
),
candidate as not materialized (
  select *,
    case polarity when 1 then points <= :quarantine_points
      else own_gains >= 1 and 2 * own_gains > own_against end as is_quarantined,
    case polarity when 1 then gains >= 1 and points > :quarantine_points
      else against >= :avoid_against and against > gains
        and not (own_gains >= 1 and 2 * own_gains > own_against) end as is_eligible
  from ranked
)
