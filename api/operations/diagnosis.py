"""The operation that looks at everything jobs need."""

from __future__ import annotations

from api import caller
from api.blueprint import Blueprint
from api.wire.diagnosis import DiagnosisSchema
from quotejob.asking import proof
from quotejob.diagnosis import Diagnosis, diagnose
from tasks import workers

blueprint = Blueprint("diagnosis", __name__, url_prefix="/api/diagnosis", description="Find out what is wrong")
blueprint.before_request(caller.require_context)

WITHIN = 1.5  # seconds that workers have to answer


@blueprint.operation("", name="getDiagnosis", answer=DiagnosisSchema, says="Each thing that was looked at")
def get_diagnosis() -> Diagnosis:
    """Look at everything that jobs need

    Looks at Redis, the workers, the scheduler, the caller's org, the clocks and the settings. It works also if Redis
    does not answer. Each check says that it is all right, or what to do.
    """
    context = proof.prove_by_org(caller.claimed())
    return diagnose(caller.services(), proof.org_of(context), context.org_id, lambda: workers.served_queues(WITHIN))
