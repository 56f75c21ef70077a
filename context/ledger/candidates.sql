-- The lessons of one modality with their records for one family, by the rules of rules.py.
-- Parameters: modality, family, needs (those that the task meets, JSON; null: all), base (rate over all), without (a
-- source), families (left out, JSON), shrinkage,
-- gain_points, quarantine_points, avoid_against.
with counted as (
  select lesson.id, lesson.polarity,
    sum(gains) as all_gains,
    sum(gains + against + dry) as all_tried,
    coalesce(sum(gains) filter (where tally.modality = :modality), 0) as gains,
    coalesce(sum(against) filter (where tally.modality = :modality), 0) as against,
    coalesce(sum(gains + against + dry) filter (where tally.modality = :modality), 0) as tried,
    coalesce(sum(gains) filter (where family = :family), 0) as family_gains,
    coalesce(sum(gains + against + dry) filter (where family = :family), 0) as family_tried,
    coalesce(sum(gains) filter (where family = :family and tally.source = 'run'), 0) as own_gains,
    coalesce(sum(against) filter (where family = :family and tally.source = 'run'), 0) as own_against,
    coalesce(sum(dry) filter (where family = :family and tally.source = 'run'), 0) as own_dry,
    count(*) filter (where tally.modality = :modality and tally.source <> 'run') as priors
  from lesson join tally on tally.action = lesson.action
  where lesson.modality = :modality and lesson.state = 'active'
    and (:needs is null or lesson.needs in (select value from json_each(:needs)))
    and tally.source <> :without and family not in (select value from json_each(:families))
  group by lesson.id
),
ranked as materialized (
  select *,
    (family_gains + :shrinkage * (gains + :shrinkage * (all_gains + :shrinkage * :base) / (all_tried + :shrinkage))
      / (tried + :shrinkage)) / (family_tried + :shrinkage) as rate,
    :gain_points * max(own_gains - (priors = 0), 0) - own_against - own_dry as points
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
