"""DingTalk's names that only the simulator needs; the package's own ``wire`` has the others.

The slugs in brackets name pages of DingTalk's documentation at
https://open.dingtalk.com/document/development/.
"""

from typing import Final

# --- The embedded QR code [obtain-identity-credentials] -------------------------------------------

#: What the success callback receives, besides ``state``.
QR_REDIRECT_URL: Final = "redirectUrl"
QR_AUTH_CODE: Final = "authCode"
#: What the frame posts when it fails. Seen in public code, not documented.
QR_ERROR_CODE: Final = "errorCode"
QR_ERROR_MESSAGE: Final = "errorMsg"
#: Whether the frame's message reports a success. Seen in public code, not documented.
QR_SUCCESS: Final = "success"
#: 你不在组织内. Seen in public code, not documented.
QR_NOT_IN_ORGANISATION: Final = 11055
#: 应用不存在. Seen in public code, not documented.
QR_UNKNOWN_APPLICATION: Final = 900103
#: redirect_uri未授权. [server-api-error-codes-1]
QR_REDIRECT_URI_NOT_REGISTERED: Final = 50001
#: What the sign-in page says of such a link.
REDIRECT_URI_REFUSED: Final = "redirect_uri参数错误"

# --- Calls as the user [dingtalk-retrieve-user-information] --------------------------------------

#: In live answers and the official SDK, but not in the document.
PROFILE_VISITOR: Final = "visitor"
#: Lists what a user has granted to the application. [query-personal-authorization-records]
AUTH_RULES_PATH: Final = "/v1.0/oauth2/authRules/user"

# --- The application's own access token ----------------------------------------------------------

#: The old API's call for it. [obtain-orgapp-token]
GETTOKEN_PATH: Final = "/gettoken"
GETTOKEN_APP_KEY: Final = "appkey"
GETTOKEN_APP_SECRET: Final = "appsecret"
#: Seconds; spelled like this in `GETTOKEN_PATH` and ``{corpId}/token``.
OAPI_EXPIRES_IN: Final = "expires_in"

# --- Login inside the DingTalk client [jsapi-request-auth-code] -----------------------------------

#: What the callbacks of ``dd.requestAuthCode`` receive.
JSAPI_CODE: Final = "code"
JSAPI_ERROR_CODE: Final = "errorCode"
JSAPI_ERROR_MESSAGE: Final = "errorMessage"
#: No application of the organisation has the page's domain.
#: [obtain-the-micro-application-exemption-authorization-code]
JSAPI_UNKNOWN_DOMAIN: Final = 3

# --- The employee record [query-user-details] -----------------------------------------------------

EMPLOYEE_AVATAR: Final = "avatar"
EMPLOYEE_STATE_CODE: Final = "state_code"
EMPLOYEE_HIDE_MOBILE: Final = "hide_mobile"
EMPLOYEE_EXCLUSIVE_ACCOUNT: Final = "exclusive_account"
EMPLOYEE_DEPARTMENT_ORDER: Final = "dept_order_list"
EMPLOYEE_LEADER_IN_DEPARTMENT: Final = "leader_in_dept"
EMPLOYEE_REAL_AUTHED: Final = "real_authed"
EMPLOYEE_RELATED: Final = "union_emp_ext"
DEPARTMENT_ID: Final = "dept_id"
DEPARTMENT_ORDER: Final = "order"
DEPARTMENT_LEADER: Final = "leader"

# --- Events ---------------------------------------------------------------------------------------

#: Fields of an event, as Stream spells them; the older bodies by HTTP begin with a capital letter.
EVENT_TIMESTAMP: Final = "timeStamp"
EVENT_ROLE_IDS: Final = "labelIdList"
EVENT_ROLE_ACTION: Final = "action"
EVENT_ROLE_ACTION_ADD: Final = "add"
EVENT_CHANGE_TYPE: Final = "changeType"
#: ``changeType`` of somebody who left. [development-data-format-help]
EVENT_CHANGE_TYPE_LEFT: Final = 4
EVENT_BIZ_ID: Final = "BizId"
EVENT_USER_ADD: Final = "user_add_org"
EVENT_USER_ACTIVE: Final = "user_active_org"
EVENT_USER_MODIFY: Final = "user_modify_org"
EVENT_ADMIN_ADD: Final = "org_admin_add"
EVENT_ADMIN_REMOVE: Final = "org_admin_remove"
EVENT_ROLE_CHANGE: Final = "label_user_change"
EVENT_HR_CHANGE: Final = "hrm_mdm_user_change"

# --- Events that were given up [obtain-the-event-list-of-failed-push-messages] --------------------

FAILED_EVENTS_PATH: Final = "/call_back/get_call_back_failed_result"
FAILED_EVENTS: Final = "failed_list"
FAILED_EVENTS_MORE: Final = "has_more"
FAILED_EVENT_TYPE: Final = "call_back_tag"
FAILED_EVENT_TIME: Final = "event_time"
FAILED_EVENT_CORP_ID: Final = "corpid"
#: Where the fields of an event stand that has no key named after it.
FAILED_EVENT_ROLES: Final = "roleLabelChange"
FAILED_EVENT_OTHER: Final = "callbackData"

# --- Stream mode [configure-stream-push] ----------------------------------------------------------

STREAM_SPEC_VERSION: Final = "specVersion"
STREAM_SPEC_VERSION_VALUE: Final = "1.0"
STREAM_DATA: Final = "data"
STREAM_CODE: Final = "code"
STREAM_MESSAGE_ID: Final = "messageId"
STREAM_CONTENT_TYPE: Final = "contentType"
STREAM_TIME: Final = "time"
STREAM_EVENT_APP_ID: Final = "eventUnifiedAppId"
STREAM_PING: Final = "ping"
STREAM_PING_OPAQUE: Final = "opaque"
STREAM_DISCONNECT_REASON: Final = "reason"

# --- Errors of the new API [server-api-error-codes-1] ---------------------------------------------

CODE_UNKNOWN_CODE: Final = "invalidParameter.authCode.notFound"
#: Wrong credentials at ``userAccessToken``. Seen in public code, not documented.
CODE_ID_OR_SECRET_NOT_FOUND: Final = "invalidParameter.idOrSecret.notFound"
#: Wrong credentials at ``accessToken``. [obtain-the-access-token-of-an-internal-app]
CODE_WRONG_CREDENTIALS: Final = "invalidClientIdOrSecret"
CODE_INVALID_TOKEN: Final = "InvalidAuthentication"
CODE_MISSING_PARAMETER: Final = "AuthenticationFailed.MissingParameter"
CODE_MISSING_BODY: Final = "Missingbody"
CODE_PERMISSION_MISSING: Final = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
CODE_IP_NOT_ALLOWED: Final = "Forbidden.AccessDenied.IpNotInWhiteList"
#: Documented for ``{corpId}/token`` only. [api-gettoken]
CODE_UNSUPPORTED_GRANT: Final = "unsupported.grant.type"
CODE_USER_NOT_FOUND: Final = "invalidParameter.user.notFound"
CODE_UNKNOWN_ACTION: Final = "InvalidAction.NotFound"
#: Wrong credentials at ``gateway/connections/open``. Seen in public code, not documented.
CODE_AUTH_FAILED: Final = "authFailed"
#: Not documented.
CODE_INVALID_SUBSCRIPTION: Final = "invalidParameter.subscriptions"
CODE_QPS_LIMIT_APP: Final = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
CODE_BUSY: Final = "system.busy"
#: Also the answer of ``{corpId}/token`` for a corpId that does not exist. [api-gettoken]
CODE_UNKNOWN_ERROR: Final = "unknownError"
CODE_INVALID_CLIENT: Final = "invalid.client"
CODE_UNAUTHORIZED_CLIENT: Final = "unauthorized.client"

# --- Errors of the old API [server-api-error-codes-1] ---------------------------------------------

ERRCODE_BUSY: Final = -1
ERRCODE_UNKNOWN_METHOD: Final = 22
ERRCODE_UNKNOWN_PATH: Final = 404
ERRCODE_WRONG_USER_ID: Final = 33012
ERRCODE_WRONG_PARAMETER: Final = 400002
ERRCODE_TOKEN_BLANK: Final = 40000
ERRCODE_TOKEN_INVALID: Final = 40014
ERRCODE_CREDENTIALS_MISSING: Final = 40035
#: The code was used, has expired, was made up, or is of the other kind.
ERRCODE_UNKNOWN_CODE: Final = 40078
#: The person is outside the visible range, or the organisation has not authorised the application.
ERRCODE_NOT_AUTHORISED: Final = 40079
ERRCODE_OUT_OF_RANGE: Final = 50002
ERRCODE_CODE_MISSING: Final = 41026
#: Seen at `GETTOKEN_PATH`, not in the table.
ERRCODE_CREDENTIALS_WRONG: Final = 40096
ERRCODE_WANTS_GET: Final = 43001
ERRCODE_WANTS_POST: Final = 43002
ERRCODE_PERMISSION_MISSING: Final = 60011
ERRCODE_IP_NOT_ALLOWED: Final = 60020
ERRCODE_NOT_A_MEMBER: Final = 60121
ERRCODE_QPS_LIMIT_APP: Final = 90018
