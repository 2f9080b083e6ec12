"""Sign in to a Flask site with DingTalk (钉钉)."""

from .api.employee import Employee, Role
from .api.models import DingTalkToken, DingTalkUser
from .errors import (
    AccessDenied,
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    InvalidCode,
    InvalidState,
    LoginRequired,
    NotPermitted,
    OrganisationNotAllowed,
    RateLimited,
    StoreUnavailable,
)
from .extension import DingTalk
from .guard import current_dingtalk_user, login_required
from .signals import (
    event_received,
    login_failed,
    token_refreshed,
    user_logged_in,
    user_logged_out,
)

__all__ = [
    "AccessDenied",
    "ConfigurationError",
    "DingTalk",
    "DingTalkAPIError",
    "DingTalkError",
    "DingTalkToken",
    "DingTalkUnavailable",
    "DingTalkUser",
    "Employee",
    "InvalidCode",
    "InvalidState",
    "LoginRequired",
    "NotPermitted",
    "OrganisationNotAllowed",
    "RateLimited",
    "Role",
    "StoreUnavailable",
    "current_dingtalk_user",
    "event_received",
    "login_failed",
    "login_required",
    "token_refreshed",
    "user_logged_in",
    "user_logged_out",
]
