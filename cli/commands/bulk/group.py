"""The group `quotejob bulk`."""

from __future__ import annotations

import click

from cli.commands.bulk import jobs, load, query
from cli.options import examples


@click.group(
    epilog=examples(
        "quotejob bulk load deals.csv --object Opportunity --operation insert --wait 10",
        'quotejob bulk query "SELECT Id, Name FROM Account" --wait 5 > accounts.csv',
        "quotejob bulk jobs",
    )
)
def bulk() -> None:
    """Load files into the org and read whole tables, by Bulk API 2.0."""


for _command in (load.load, query.query, jobs.jobs, jobs.status, jobs.abort, jobs.delete):
    bulk.add_command(_command)
