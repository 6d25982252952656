"""What an audit found goes into JSON and back."""

import json

import pytest

from common.audit import Audit
from common.checks import InputError
from tests.common.audit.example import example_audit


def test_an_audit_comes_back_from_json_without_its_pictures() -> None:
    audit = example_audit()
    text = json.dumps(audit.to_json(), allow_nan=False)
    back = Audit.from_json(json.loads(text))
    assert back == audit
    assert back.pictures is None
    assert "pictures" not in text


@pytest.mark.bad_input("audit")
def test_a_damaged_audit_json_ends_in_one_line() -> None:
    values = example_audit().to_json()
    values["sets"][0]["blank"]["images"] = 2
    with pytest.raises(InputError, match=r"audit\.json: sets\[0\]\.blank\.images must be a number"):
        Audit.from_json(values)
