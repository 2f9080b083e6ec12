"""The site of this comparison with django-allauth and its provider for DingTalk.

As its documentation has it: https://docs.allauth.org, *Installation* and *DingTalk*.
"""
# ruff: noqa: D103, E402
# mypy: ignore-errors

import re
import tempfile
from pathlib import Path

import django
from django.conf import settings

DISTRIBUTION = "django-allauth"
LOGIN, CALLBACK = "/accounts/dingtalk/login/", "/accounts/dingtalk/login/callback/"

settings.configure(
    SECRET_KEY="the key of a trial",
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(tempfile.mkdtemp(), "trial.sqlite"),
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.dingtalk",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    LOGIN_REDIRECT_URL="/",
    LOGIN_URL=LOGIN,
    SOCIALACCOUNT_LOGIN_ON_GET=True,
    SOCIALACCOUNT_STORE_TOKENS=True,
    USE_TZ=True,
    # `prompt`, since DingTalk's documentation asks for it. The scope, since the provider's own two
    # words come in any order, and DingTalk's documentation knows one.
    SOCIALACCOUNT_PROVIDERS={
        "dingtalk": {"APPS": [], "AUTH_PARAMS": {"prompt": "consent"}, "SCOPE": ["openid"]}
    },
)
django.setup()

import requests
from allauth.socialaccount.models import SocialToken
from allauth.socialaccount.providers.dingtalk.views import DingTalkOAuth2Adapter
from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path


def nick(user):
    return user.socialaccount_set.get().extra_data["nick"]


@login_required
def index(request):
    return HttpResponse(f"Hello, {nick(request.user)}")


@login_required
async def asynchronous(request):
    user = await request.auser()
    account = await user.socialaccount_set.aget()
    return HttpResponse(f"Hello, {account.extra_data['nick']}")


@login_required
def as_dingtalk_sees_me(request):
    token = SocialToken.objects.get(account__user=request.user)
    response = requests.get(
        DingTalkOAuth2Adapter.profile_url,
        headers={"x-acs-dingtalk-access-token": token.token},
        timeout=10,
    )
    response.raise_for_status()
    return JsonResponse(response.json())


urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("", index),
    path("guarded", index),
    path("async", asynchronous),
    path("as-dingtalk-sees-me", as_dingtalk_sees_me),
]


def build(dingtalk_settings):
    settings.SOCIALACCOUNT_PROVIDERS["dingtalk"]["APPS"] = [
        {
            "client_id": dingtalk_settings["DINGTALK_CLIENT_ID"],
            "secret": dingtalk_settings["DINGTALK_CLIENT_SECRET"],
            "key": "",
        }
    ]
    # DingTalk's addresses, which the provider has in its code, become those of the simulator.
    api = dingtalk_settings["DINGTALK_API_BASE_URL"]
    DingTalkOAuth2Adapter.authorize_url = dingtalk_settings["DINGTALK_AUTHORIZE_URL"]
    DingTalkOAuth2Adapter.access_token_url = f"{api}/v1.0/oauth2/userAccessToken"
    DingTalkOAuth2Adapter.profile_url = f"{api}/v1.0/contact/users/me"
    call_command("migrate", verbosity=0)
    return get_wsgi_application()


def sign_out(browser):
    form = browser.get("/accounts/logout/", base_url="https://localhost").text
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
    browser.post(
        "/accounts/logout/",
        base_url="https://localhost",
        headers={"Referer": "https://localhost/accounts/logout/"},
        data={"csrfmiddlewaretoken": token},
    )
