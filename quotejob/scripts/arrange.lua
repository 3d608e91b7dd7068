-- needs queue
-- The sweep looks again at a Holding job, so that no lost word between jobs keeps it waiting.
-- ARGV  job id
arrange({ARGV[4]})
