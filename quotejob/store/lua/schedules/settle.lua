-- needs schedules/place
-- Put a schedule that was found among the due ones and does not fire now where it belongs.
-- args  schedule, due, guaranteed_key (keys), id
settle()
