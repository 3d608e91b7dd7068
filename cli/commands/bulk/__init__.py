"""`quotejob bulk`: files into the org and out of it, by Bulk API 2.0, straight to the org.

* ``org`` sends the requests. ``source`` reads the user's file. ``ledger`` remembers a load across any death.
* ``load`` writes the parts of a file; ``outcome`` says what became of each row.
* ``query`` and ``jobs`` are the other commands.
"""
