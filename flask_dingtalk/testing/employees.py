"""The employee record: which of its fields the old API shows to which application.

[query-user-details]
"""

from typing import Any, Final

from ..api import wire
from . import wire as testing_wire
from .people import Application, Membership, Person

#: As large as DingTalk's own numbers; JavaScript would lose digits.
_ORDER: Final = 176292000000000512
#: Not shown to third-party applications.
_INTERNAL_ONLY: Final = (
    testing_wire.EMPLOYEE_STATE_CODE,
    wire.EMPLOYEE_MOBILE,
    wire.EMPLOYEE_TELEPHONE,
    wire.EMPLOYEE_EMAIL,
    wire.EMPLOYEE_WORK_PLACE,
    wire.EMPLOYEE_REMARK,
    wire.EMPLOYEE_EXTENSION,
    wire.EMPLOYEE_ORG_EMAIL,
    wire.EMPLOYEE_HIRED_DATE,
)


def employee_record(
    person: Person, membership: Membership, application: Application
) -> dict[str, Any]:
    """Return the ``result`` of ``user/get`` as far as this application may see it."""
    fields: dict[str, Any] = {
        wire.USER_ID: membership.user_id,
        wire.UNION_ID: person.union_id,
        wire.EMPLOYEE_NAME: membership.name or person.nick or person.name,
        testing_wire.EMPLOYEE_AVATAR: person.avatar_url or "",
        testing_wire.EMPLOYEE_STATE_CODE: person.state_code,
        wire.EMPLOYEE_MANAGER_USER_ID: membership.manager_user_id,
        testing_wire.EMPLOYEE_HIDE_MOBILE: False,
        wire.EMPLOYEE_TELEPHONE: membership.telephone,
        wire.EMPLOYEE_JOB_NUMBER: membership.job_number,
        wire.EMPLOYEE_TITLE: membership.title,
        wire.EMPLOYEE_ORG_EMAIL: membership.org_email,
        testing_wire.EMPLOYEE_EXCLUSIVE_ACCOUNT: False,
        wire.EMPLOYEE_DEPARTMENT_IDS: list(membership.department_ids),
        testing_wire.EMPLOYEE_DEPARTMENT_ORDER: [
            {testing_wire.DEPARTMENT_ID: each, testing_wire.DEPARTMENT_ORDER: _ORDER}
            for each in membership.department_ids
        ],
        testing_wire.EMPLOYEE_LEADER_IN_DEPARTMENT: [
            {
                testing_wire.DEPARTMENT_ID: each,
                testing_wire.DEPARTMENT_LEADER: each in membership.leads,
            }
            for each in membership.department_ids
        ],
        wire.EMPLOYEE_ROLES: [
            {
                wire.ROLE_ID: role.id,
                wire.ROLE_NAME: role.name,
                wire.ROLE_GROUP_NAME: role.group_name,
            }
            for role in membership.roles
        ]
        or None,
        wire.EMPLOYEE_HIRED_DATE: membership.hired_at
        and int(membership.hired_at.timestamp() * 1000),
        wire.EMPLOYEE_ACTIVE: membership.active,
        testing_wire.EMPLOYEE_REAL_AUTHED: True,
        wire.EMPLOYEE_SENIOR: membership.senior,
        wire.EMPLOYEE_ADMIN: membership.admin,
        wire.EMPLOYEE_BOSS: membership.boss,
        testing_wire.EMPLOYEE_RELATED: {},
    }
    if wire.PERMISSION_FIELD_MOBILE in application.permissions:
        fields[wire.EMPLOYEE_MOBILE] = person.mobile
    if wire.PERMISSION_FIELD_EMAIL in application.permissions:
        fields[wire.EMPLOYEE_EMAIL] = membership.email
        fields[wire.EMPLOYEE_WORK_PLACE] = membership.work_place
        fields[wire.EMPLOYEE_REMARK] = membership.remark
        fields[wire.EMPLOYEE_EXTENSION] = membership.extension
    if application.third_party:
        for name in _INTERNAL_ONLY:
            fields.pop(name, None)
    return {key: value for key, value in fields.items() if value is not None}
