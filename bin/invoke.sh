#!/bin/sh
# Calls the API with an org's context, as the AppLink mesh would:  bin/invoke.sh ORG URL [JSON]
#   bin/invoke.sh local  http://127.0.0.1:8000/api/executebatch '{"soqlWhereClause": "Name LIKE '\''Sample %'\''"}'
#   bin/invoke.sh my-org http://127.0.0.1:8000/api/jobs
# ORG is an alias the sf command knows, or `local`: the org of the running bin/demo whose API is at URL, otherwise that of
# LOCAL_ORG_URL and LOCAL_ORG_TOKEN. With JSON the request is a POST, without it a GET.
set -eu
. "$(dirname -- "$0")/../harness/python.sh"
exec "$python" -P -m cli.invoke "$@"
