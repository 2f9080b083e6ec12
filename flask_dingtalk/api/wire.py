"""DingTalk's names: every URL, path, parameter, header and JSON key that the package uses.

They are spelled here and nowhere else. Only the error codes are in ``error_codes``, next to what
they mean. The names in brackets are pages of DingTalk's documentation, below
https://open.dingtalk.com/document/development/.
"""

from typing import Final

# --- Hosts --------------------------------------------------------------------------------------

#: The sign-in and consent pages. [obtain-identity-credentials]
AUTHORIZE_URL: Final = "https://login.dingtalk.com/oauth2/auth"
#: The new API: JSON bodies, and the token in a header. [server-api-calling-guide]
API_BASE_URL: Final = "https://api.dingtalk.com"
#: The old API: always HTTP 200, with ``errcode`` in the body. [download-the-server-side-sdk]
OAPI_BASE_URL: Final = "https://oapi.dingtalk.com"
#: The script of the embedded QR code; defines ``window.DTFrameLogin``.
#: [obtain-identity-credentials]
QR_SCRIPT_URL: Final = "https://g.alicdn.com/dingding/h5-dingtalk-login/0.21.0/ddlogin.js"
#: The bridge to the DingTalk client; defines ``dd``. [webapp-read-before-development]
JSAPI_URL: Final = "https://g.alicdn.com/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js"

#: For ``frame-ancestors`` of a Content-Security-Policy: the desktop client shows sites in a frame.
#: Not documented; all of DingTalk's own pages are on this domain.
CLIENT_FRAME_ANCESTORS: Final = "https://*.dingtalk.com"

#: What the sign-in page says of a redirect URL that is not registered, and of a Client ID that no
#: application has. Seen in public reports, not documented.
PAGE_REDIRECT_URI_REFUSED: Final = "redirect_uri参数错误"
PAGE_UNKNOWN_APPLICATION: Final = "900103"
#: What the simulator's sign-in page says, in Chinese, of an application without a released version.
PAGE_NOT_RELEASED: Final = "应用未发布"

#: The developer console, where an application is set up.
CONSOLE_URL: Final = "https://open-dev.dingtalk.com"
#: Where to apply for a permission; DingTalk's own error messages contain this URL.
PERMISSION_APPLY_URL: Final = (
    "https://open-dev.dingtalk.com/appscope/apply?content={client_id}%23{permission}"
)

# --- The authorisation request [obtain-identity-credentials] -------------------------------------

CLIENT_ID: Final = "client_id"
REDIRECT_URI: Final = "redirect_uri"
RESPONSE_TYPE: Final = "response_type"
RESPONSE_TYPE_CODE: Final = "code"
SCOPE: Final = "scope"
SCOPE_OPENID: Final = "openid"
SCOPE_OPENID_CORPID: Final = "openid corpid"
STATE: Final = "state"
PROMPT: Final = "prompt"
PROMPT_CONSENT: Final = "consent"
ORG_TYPE: Final = "org_type"
ORG_TYPE_MANAGEMENT: Final = "management"
CORP_ID: Final = "corpId"
EXCLUSIVE_LOGIN: Final = "exclusiveLogin"
EXCLUSIVE_CORP_ID: Final = "exclusiveCorpId"
#: Characters. The mobile page allows a state of at most 1 K.
#: [mini-app-procedures-for-authorized-logon-to-ios-applications]
MAX_STATE_LENGTH: Final = 1024

# --- The callback [tutorial-obtaining-user-personal-information] ---------------------------------

#: ``authCode`` and ``code`` have the same value; one of the two documents shows only the first.
CALLBACK_AUTH_CODE: Final = "authCode"
CALLBACK_CODE: Final = "code"
CALLBACK_ERROR: Final = "error"
#: Its value after somebody declined, as in RFC 6749, section 4.1.2.1. DingTalk documents none.
CALLBACK_DECLINED: Final = "access_denied"

# --- The embedded QR code [obtain-identity-credentials] -------------------------------------------

#: Pixels: the smallest width and height that the document allows.
QR_MIN_SIZE: Final = 280

# --- User access token [obtain-user-token] -------------------------------------------------------

USER_ACCESS_TOKEN_PATH: Final = "/v1.0/oauth2/userAccessToken"
TOKEN_CLIENT_ID: Final = "clientId"
TOKEN_CLIENT_SECRET: Final = "clientSecret"
TOKEN_CODE: Final = "code"
TOKEN_REFRESH_TOKEN: Final = "refreshToken"
TOKEN_GRANT_TYPE: Final = "grantType"
GRANT_AUTHORIZATION_CODE: Final = "authorization_code"
GRANT_REFRESH_TOKEN: Final = "refresh_token"
TOKEN_ACCESS_TOKEN: Final = "accessToken"
#: Seconds. Spelled neither ``expires_in`` nor ``expiresIn``.
TOKEN_EXPIRE_IN: Final = "expireIn"
#: The organisation chosen; absent unless the scope was ``openid corpid``. [common-errors]
TOKEN_CORP_ID: Final = "corpId"

# --- Calls as the user [dingtalk-retrieve-user-information] --------------------------------------

#: The new API reads the token from this header only, and ignores ``Authorization: Bearer``.
ACCESS_TOKEN_HEADER: Final = "x-acs-dingtalk-access-token"
USERS_ME_PATH: Final = "/v1.0/contact/users/me"
PROFILE_UNION_ID: Final = "unionId"
PROFILE_OPEN_ID: Final = "openId"
PROFILE_NICK: Final = "nick"
PROFILE_AVATAR_URL: Final = "avatarUrl"
PROFILE_MOBILE: Final = "mobile"
PROFILE_STATE_CODE: Final = "stateCode"
PROFILE_EMAIL: Final = "email"
#: The fields that the document lists.
PROFILE_FIELDS: Final = (
    PROFILE_UNION_ID,
    PROFILE_OPEN_ID,
    PROFILE_NICK,
    PROFILE_AVATAR_URL,
    PROFILE_MOBILE,
    PROFILE_STATE_CODE,
    PROFILE_EMAIL,
)

# --- The application's own access token [obtain-the-access-token-of-an-internal-app] --------------

APP_ACCESS_TOKEN_PATH: Final = "/v1.0/oauth2/accessToken"
APP_KEY: Final = "appKey"
APP_SECRET: Final = "appSecret"
#: The same for internal and third-party applications. [api-gettoken]
CORP_TOKEN_PATH: Final = "/v1.0/oauth2/{corpId}/token"
CORP_TOKEN_CLIENT_ID: Final = "client_id"
CORP_TOKEN_CLIENT_SECRET: Final = "client_secret"
CORP_TOKEN_GRANT_TYPE: Final = "grant_type"
GRANT_CLIENT_CREDENTIALS: Final = "client_credentials"

# --- Members, on the old API [query-a-user-by-the-union-id, query-user-details] -------------------

#: What paths of the old API begin with, except that of its token call.
OLD_API_PREFIX: Final = "/topapi/"
#: The token of a call on the old API, as a query parameter or a form field.
OAPI_ACCESS_TOKEN: Final = "access_token"
GET_BY_UNION_ID_PATH: Final = "/topapi/user/getbyunionid"
UNION_ID: Final = "unionid"
USER_GET_PATH: Final = "/topapi/v2/user/get"
USER_ID: Final = "userid"
RESULT: Final = "result"
#: 0 is an employee, 1 an external contact; a number, or the number in quotes.
CONTACT_TYPE: Final = "contact_type"

# --- Sign-in inside the client [jsapi-request-auth-code] ------------------------------------------

#: DingTalk's own library looks for this in any case. Not documented.
CLIENT_USER_AGENT: Final = "dingtalk"

#: Arguments of ``dd.requestAuthCode``.
JSAPI_CORP_ID: Final = "corpId"
JSAPI_CLIENT_ID: Final = "clientId"
#: Exchanges the code for the member. [obtain-the-userid-of-a-user-by-using-the-log-free]
GET_USER_INFO_PATH: Final = "/topapi/v2/user/getuserinfo"
USER_INFO_CODE: Final = "code"
USER_INFO_NAME: Final = "name"
USER_INFO_ASSOCIATED_UNION_ID: Final = "associated_unionid"
USER_INFO_DEVICE_ID: Final = "device_id"
#: Whether the member is an administrator.
USER_INFO_ADMIN: Final = "sys"
#: 1 is the main administrator, 2 a sub-administrator, 100 a boss, 0 anyone else.
USER_INFO_ADMIN_LEVEL: Final = "sys_level"
#: The fields that the document lists.
USER_INFO_FIELDS: Final = (
    USER_ID,
    UNION_ID,
    USER_INFO_NAME,
    USER_INFO_ASSOCIATED_UNION_ID,
    USER_INFO_DEVICE_ID,
    USER_INFO_ADMIN,
    USER_INFO_ADMIN_LEVEL,
)

# --- The employee record [query-user-details] -----------------------------------------------------

EMPLOYEE_NAME: Final = "name"
EMPLOYEE_MANAGER_USER_ID: Final = "manager_userid"
EMPLOYEE_MOBILE: Final = "mobile"
EMPLOYEE_TELEPHONE: Final = "telephone"
EMPLOYEE_JOB_NUMBER: Final = "job_number"
EMPLOYEE_TITLE: Final = "title"
EMPLOYEE_EMAIL: Final = "email"
EMPLOYEE_WORK_PLACE: Final = "work_place"
EMPLOYEE_REMARK: Final = "remark"
#: A text that contains JSON.
EMPLOYEE_EXTENSION: Final = "extension"
EMPLOYEE_ORG_EMAIL: Final = "org_email"
EMPLOYEE_DEPARTMENT_IDS: Final = "dept_id_list"
EMPLOYEE_ROLES: Final = "role_list"
#: Unix time in milliseconds.
EMPLOYEE_HIRED_DATE: Final = "hired_date"
EMPLOYEE_ACTIVE: Final = "active"
EMPLOYEE_SENIOR: Final = "senior"
EMPLOYEE_ADMIN: Final = "admin"
EMPLOYEE_BOSS: Final = "boss"
ROLE_ID: Final = "id"
ROLE_NAME: Final = "name"
ROLE_GROUP_NAME: Final = "group_name"

# --- Permissions [add-api-permission] -------------------------------------------------------------

PERMISSION_USER_READ: Final = "Contact.User.Read"
PERMISSION_USER_MOBILE: Final = "Contact.User.mobile"
#: For ``userAccessToken``; every new application has it. [obtain-user-token]
PERMISSION_APP_BASE: Final = "open_app_api_base"
#: For ``getuserinfo``; every new application has it.
#: [obtain-the-userid-of-a-user-by-using-the-log-free]
PERMISSION_BASE: Final = "qyapi_base"
#: For ``getbyunionid`` and ``user/get``. [query-a-user-by-the-union-id]
PERMISSION_GET_MEMBER: Final = "qyapi_get_member"
#: ``mobile`` of the employee record (企业员工手机号信息). [query-user-details]
PERMISSION_FIELD_MOBILE: Final = "fieldMobile"
#: ``email``, ``work_place``, ``remark``, ``extension`` (邮箱等个人信息). [query-user-details]
PERMISSION_FIELD_EMAIL: Final = "fieldEmail"

# --- Errors [server-api-error-codes-1] ------------------------------------------------------------

#: The new API's envelope. Ignore case: the official SDK reads each key in two spellings.
ERROR_CODE: Final = "code"
ERROR_MESSAGE: Final = "message"
ERROR_REQUEST_ID: Final = "requestid"
ERROR_ACCESS_DENIED_DETAIL: Final = "accessdenieddetail"
ERROR_REQUIRED_SCOPES: Final = "requiredScopes"

#: The old API's envelope. If ``errcode`` is 88, ``sub_code`` has the real code, as text.
ERRCODE: Final = "errcode"
ERRMSG: Final = "errmsg"
OAPI_REQUEST_ID: Final = "request_id"
SUB_CODE: Final = "sub_code"
SUB_MSG: Final = "sub_msg"
ERRCODE_OK: Final = 0
ERRCODE_WRAPPED: Final = 88

#: A banned IP address gets this instead of either envelope. [call-frequency-limit]
BAN_STATUS: Final = "status"
BAN_STATUS_VALUE: Final = 1111
#: A ban lasts five minutes.
BAN_SECONDS: Final = 300

# --- Events, pushed by HTTP [callback-event-message-body-encryption-and-decryption] ---------------

#: Both come with one value; the documents show one or the other.
PUSH_SIGNATURES: Final = ("msg_signature", "signature")
#: Milliseconds of Unix time, as text.
PUSH_TIMESTAMP: Final = "timestamp"
PUSH_NONCE: Final = "nonce"
PUSH_ENCRYPTED: Final = "encrypt"
#: What an answer has to say, encrypted; without it, the event is sent again.
PUSH_SUCCESS: Final = "success"
PUSH_REPLY_SIGNATURE: Final = "msg_signature"
#: With a capital S, unlike the parameter.
PUSH_REPLY_TIMESTAMP: Final = "timeStamp"
PUSH_REPLY_NONCE: Final = "nonce"

# --- Events, by Stream mode [configure-stream-push] -----------------------------------------------

STREAM_OPEN_PATH: Final = "/v1.0/gateway/connections/open"
STREAM_SUBSCRIPTIONS: Final = "subscriptions"
#: Who connects, such as ``name/version``.
STREAM_USER_AGENT: Final = "ua"
STREAM_TYPE: Final = "type"
STREAM_TYPE_EVENT: Final = "EVENT"
STREAM_TYPE_SYSTEM: Final = "SYSTEM"
STREAM_TOPIC: Final = "topic"
#: The only topic that DingTalk knows for events.
STREAM_TOPIC_ALL: Final = "*"
#: The topic with which DingTalk announces the end of a connection, ten seconds ahead.
STREAM_TOPIC_DISCONNECT: Final = "disconnect"
STREAM_HEADERS: Final = "headers"
#: Where to connect, and with what, once and within 90 seconds.
STREAM_ENDPOINT: Final = "endpoint"
STREAM_TICKET: Final = "ticket"
#: What the data of an answer says: ``SUCCESS``, or ``LATER`` to have the event sent again.
STREAM_STATUS: Final = "status"
STREAM_STATUS_SUCCESS: Final = "SUCCESS"
STREAM_STATUS_LATER: Final = "LATER"

# --- What an event says ---------------------------------------------------------------------------

# By HTTP these stand beside the event's own fields, in one of two spellings; read them in any case.
EVENT_TYPE: Final = "EventType"
EVENT_CORP_ID: Final = "CorpId"
EVENT_ID: Final = "eventId"
#: Milliseconds of Unix time, as a number or as text.
EVENT_TIMES: Final = ("EventTime", "TimeStamp")
# By Stream they stand in the headers of the frame.
STREAM_EVENT_TYPE: Final = "eventType"
STREAM_EVENT_CORP_ID: Final = "eventCorpId"
STREAM_EVENT_ID: Final = "eventId"
STREAM_EVENT_TIME: Final = "eventBornTime"
#: The people whom an event means: a list of user ids, or a single one.
EVENT_USER_IDS: Final = ("userId", "userIdList", "staffId")
EVENT_STATUS: Final = "status"

#: Sent when the console saves the address; not an event of anybody. [test-callback-url-events]
EVENT_CHECK_URL: Final = "check_url"
#: Left the organisation. [address-book-user-resignation]
EVENT_USER_LEAVE: Final = "user_leave_org"
#: The organisation was dissolved. [the-organizational-relationship-enterprise-is-deleted]
EVENT_ORG_REMOVE: Final = "org_remove"
#: The application was switched on or off, or deleted.
#: [enterprise-self-built-application-status-change]
EVENT_APP_STATUS: Final = "inner_app_status_change"
#: Values of its ``status`` after which nobody may use the application.
EVENT_APP_STATUSES_OFF: Final = ("disable", "delete")
#: Events of a member's record, by user id. [address-book-user-change,
#: enterprise-increases-employee-events, user-activation-after-joining-the-enterprise,
#: user-is-set-as-administrator, address-book-user-canceled-setting-administrator,
#: employee-role-information-changes, personnel-platform-employee-change-event-v2]
EVENTS_OF_MEMBERS: Final = (
    "user_modify_org",
    "user_add_org",
    "user_active_org",
    "org_admin_add",
    "org_admin_remove",
    "label_user_change",
    "hrm_mdm_user_change",
)
#: Events that name departments, roles or the visible range, and no people.
#: [create-department-event, address-book-enterprise-department-modification,
#: address-book-enterprise-department-deletion, add-a-role-or-role-group,
#: enterprise-self-built-applications-can-be-used-to-change-the-scope]
EVENTS_OF_GROUPS: Final = (
    "org_dept_create",
    "org_dept_modify",
    "org_dept_remove",
    "label_conf_add",
    "label_conf_modify",
    "label_conf_del",
    "inner_app_scopes_change",
)
