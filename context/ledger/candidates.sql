-- The lessons of one modality with their records for one family, by the rules of rules.py.
-- Parameters: modality, family (whose record counts), left_out (a family without which everything is counted; else
-- null), without_pack (1: without what packs vouch for), base (rate over all), shrinkage, gain_points,
-- quarantine_points, avoid_against.
-- `not materialized`: only the columns and lessons that are asked for are computed, which halves the time.
counted as not materialized (
  select lesson.id, lesson.polarity, lesson.needs,
    every.all_gains - :without_pack * every.all_pack_gains - ifnull(other.gains, 0) as all_gains,
    every.all_tried - :without_pack * every.all_pack_tried
      - ifnull(other.gains + other.against + other.dry, 0) as all_tried,
    every.gains - :without_pack * every.pack_gains - ifnull(other.gains, 0) as gains,
    every.against - :without_pack * every.pack_against - ifnull(other.against, 0) as against,
    every.gains + every.against + every.dry - :without_pack * (every.pack_gains + every.pack_against)
      - ifnull(other.gains + other.against + other.dry, 0) as tried,
    every.prior_gains - :without_pack * every.pack_gains - ifnull(other.prior_gains, 0) as prior_gains,
    every.prior_against - :without_pack * every.pack_against - ifnull(other.prior_against, 0) as prior_against,
    ifnull(own.gains, 0) as family_gains,
    ifnull(own.gains + own.against + own.dry, 0) as family_tried,
    ifnull(own.gains - own.prior_gains, 0) as own_gains,
    ifnull(own.against - own.prior_against, 0) as own_against,
    ifnull(own.dry, 0) as own_dry
  from lesson
  cross join lesson_count as every on every.lesson = lesson.id
  left join family_count as own on own.family = :family and own.lesson = lesson.id
  left join family_count as other on other.family = :left_out and other.lesson = lesson.id
  where lesson.modality = :modality and lesson.state = 'active' and lesson.task = ''
    and every.gains + every.against + every.dry > 0
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
