-- needs gate/gate
-- Say that a step is under way, or that a worker has so many threads.
-- args  those of the gate, key (inside or threads), name (the id of the task, or the worker), what (the org, or a number)
hold(args.key, args.name, args.what)
return 1
