"""All that the OpenAPI allows, and much that it does not, is asked of the gateway by Schemathesis."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
import schemathesis
from gateway_server import TOKENS, gateway
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

ALL = list(HealthCheck)
HEADERS = {"Authorization": f"Bearer {TOKENS['artist']}"}
CHECKS = {
    # what fits the schema can be beyond max_pixels, name an image that is not there, or find a full queue
    "positive_data_acceptance": {"expected-statuses": ["2xx", 404, 409, 415, 422, 429]},
}


@pytest.fixture(scope="module")
def api(comfy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    limits = {"max_side": 320, "max_pixels": 320 * 320, "max_steps": 2, "max_batch": 1}
    with gateway(tmp_path_factory.mktemp("schema"), comfy.url, catalogue={"limits": limits}) as one:
        config = SchemathesisConfig.from_dict({"checks": CHECKS})
        yield schemathesis.openapi.from_url(f"{one.url}/openapi.json", config=config)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # Schemathesis does
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_schema_declares(api: BaseSchema, mode: GenerationMode) -> None:
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) == 14
    for operation in operations:

        @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=ALL)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=HEADERS, timeout=20)

        with suppress(Unsatisfiable):  # nothing is wrong with what has no parameters
            ask()
