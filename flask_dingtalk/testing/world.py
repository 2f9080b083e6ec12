"""The state of the simulated DingTalk: organisations, people, the application and the clock."""

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..api import wire
from . import wire as testing_wire
from .people import (
    Application,
    Membership,
    Organisation,
    Person,
    Role,
    digits_from_seed,
    text_from_seed,
)

#: Default of arguments: derive a value from the name. ``None`` means that there is no value.
FROM_NAME: Final = "<from name>"


class World:
    """Organisations, people, the application and the clock.

    A request holds `lock` while it is answered, so that it never sees half of a change.
    """

    #: The organisations, by corp id.
    organisations: dict[str, Organisation]
    #: The people, by the names that tests use: ``zhang``, ``li`` and ``wang`` are there at first.
    users: dict[str, Person]
    #: The application as DingTalk's console shows it.
    application: Application

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: Notified when the clock was moved, or when anything else happened that one waits for.
        self.news = threading.Condition()
        #: Called for each event of the application's own organisation.
        self._announce: Callable[[str, Person, Mapping[str, Any]], None] | None = None
        #: Address of the pages without a trailing slash; empty until they are served.
        self.base_url = ""
        self._begin()

    def _begin(self) -> None:
        """Make the organisations, people and application that there are from the start."""
        self.organisations = {}
        self.users = {}
        #: Names of the people with a drawn avatar.
        self._drawn_avatars: set[str] = set()
        self._offset = 0.0
        own = self.add_organisation(
            f"ding{text_from_seed('own', length=32, hexadecimal=True)}", "示例科技"
        )
        other = self.add_organisation(
            f"ding{text_from_seed('other', length=32, hexadecimal=True)}", "样板贸易"
        )
        self.application = Application(corp_id=own.corp_id)
        self._populate(own.corp_id, other.corp_id)
        self._in_app_user = next(iter(self.users))

    def _populate(self, own: str, other: str) -> None:
        zhang = self.add_user(
            "zhang",
            nick="张三",
            latin_name="Zhang San",
            email="zhang.san@example.com",
            corp_ids=(own, other),
        )
        li = self.add_user("li", nick="李四", latin_name="Li Si", corp_ids=(own,))
        self.add_user(
            "wang",
            nick="王五",
            latin_name="Wang Wu",
            email="wang.wu@example.com",
            corp_ids=(other,),
        )
        boss, engineer = zhang.memberships[own], li.memberships[own]
        boss.admin = boss.boss = boss.senior = True
        boss.title, boss.job_number = "总经理", "0001"
        boss.hired_at = datetime(2015, 3, 2, tzinfo=UTC)
        boss.leads = (1,)
        boss.org_email = "zhangsan@org.example.com"
        boss.email = zhang.email
        boss.roles = (Role(id=1, name="主管理员", group_name="默认"),)
        engineer.title, engineer.job_number = "工程师", "0042"
        engineer.hired_at = datetime(2021, 7, 5, tzinfo=UTC)
        engineer.department_ids = (2,)
        engineer.manager_user_id = boss.user_id
        engineer.work_place = "杭州"
        engineer.extension = '{"爱好":"骑行"}'

    @property
    def in_app_user(self) -> str:
        """Name of the person logged in to the DingTalk client, ``zhang`` at first.

        ``dd.requestAuthCode`` returns codes of this person. Setting an unknown name is a
        `ValueError`.
        """
        return self._in_app_user

    @in_app_user.setter
    def in_app_user(self, name: str) -> None:
        with self.lock:
            self._in_app_user = self.person(name).name

    def now(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward; `ValueError` if `seconds` is negative."""
        if seconds < 0:
            raise ValueError("The clock can only move forward.")
        with self.lock:
            self._offset += seconds
        self.tell_news()

    def wait_until(self, due: float, is_done: Callable[[], bool]) -> None:
        """Wait until a moment of the simulated time, or until something is done."""
        with self.news:
            while not is_done() and (left := due - self.now()) > 0:
                self.news.wait(left)

    def tell_news(self) -> None:
        """Wake those who wait."""
        with self.news:
            self.news.notify_all()

    def serve_avatars_at(self, base_url: str) -> None:
        """Set the addresses of drawn avatars to this server."""
        with self.lock:
            self.base_url = base_url
            for name in self._drawn_avatars:
                person = self.users[name]
                person.avatar_url = base_url + person.avatar_path

    def add_organisation(self, corp_id: str, name: str) -> Organisation:
        """Add an organisation; `ValueError` if there is one with this corpId."""
        with self.lock:
            if corp_id in self.organisations:
                raise ValueError(f"There is already an organisation {corp_id!r}.")
            organisation = Organisation(
                corp_id, name, text_from_seed("code", corp_id, length=8).upper()
            )
            self.organisations[corp_id] = organisation
            return organisation

    def add_user(
        self,
        name: str,
        *,
        nick: str | None,
        latin_name: str | None = None,
        avatar_url: str | None = FROM_NAME,
        mobile: str | None = FROM_NAME,
        state_code: str | None = "86",
        email: str | None = None,
        union_id: str | None = None,
        open_id: str | None = None,
        corp_ids: Collection[str] | None = None,
        user_ids: Mapping[str, str] | None = None,
    ) -> Person:
        """Add a person; `ValueError` if the name is taken or an organisation is unknown.

        Ids, avatar and mobile number are derived from the name unless given, so that they are the
        same in every run; ``None`` means that the account has no avatar or no mobile number.
        Without `corp_ids` the person becomes a member of the application's own organisation.
        `user_ids` maps corpId to userid.
        """
        with self.lock:
            if name in self.users:
                raise ValueError(f"There is already a user {name!r}.")
            person = Person(
                name=name,
                nick=nick,
                latin_name=latin_name,
                union_id=union_id or text_from_seed("union", name, length=24) + "iEiE",
                open_id=open_id or text_from_seed("open", name, length=24) + "iEiE",
                avatar_url=avatar_url,
                mobile=f"1501234{digits_from_seed(name, 4)}" if mobile == FROM_NAME else mobile,
                state_code=None if mobile is None else state_code,
                email=email,
            )
            joined = (self.application.corp_id,) if corp_ids is None else corp_ids
            for corp_id in joined:
                self.join(person, corp_id, user_id=(user_ids or {}).get(corp_id))
            if avatar_url == FROM_NAME:
                self._drawn_avatars.add(name)
                person.avatar_url = self.base_url + person.avatar_path
            self.users[name] = person
            return person

    def join(
        self,
        user: str | Person,
        corp_id: str | None = None,
        *,
        user_id: str | None = None,
        external: bool = False,
    ) -> Membership:
        """Make a person a member or an external contact of an organisation.

        Without `corp_id` it is the application's own organisation. `ValueError` if the person or
        the organisation is unknown.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            if corp_id not in self.organisations:
                raise ValueError(f"There is no organisation {corp_id!r}: add it first.")
            number = digits_from_seed(corp_id + person.name, 14)
            membership = Membership(user_id or f"01{number}", external=external)
            person.memberships[corp_id] = membership
            person.former_user_ids.pop(corp_id, None)
            if not external:
                self._tell(testing_wire.EVENT_USER_ADD, person, corp_id)
            return membership

    def leave(self, user: str | Person, corp_id: str | None = None) -> None:
        """Remove a person from an organisation.

        Without `corp_id` it is the application's own organisation. `ValueError` if the person is
        not in it.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            membership = person.memberships.pop(corp_id, None)
            if membership is None:
                raise ValueError(f"{person.name!r} is not in the organisation {corp_id!r}.")
            person.former_user_ids[corp_id] = membership.user_id
            if not membership.external:
                self._tell(wire.EVENT_USER_LEAVE, person, corp_id)

    def change(self, user: str | Person, corp_id: str | None = None, **fields: Any) -> Membership:
        """Change a person's record in an organisation: ``title``, ``department_ids``, ``admin``, …

        Without `corp_id` it is the application's own organisation. If the site has subscribed to
        events, it hears of it. `ValueError` if the person is not in the organisation, or if there
        is no such field.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            membership = person.memberships.get(corp_id)
            if membership is None:
                raise ValueError(f"{person.name!r} is not in the organisation {corp_id!r}.")
            known = {each.name for each in dataclasses.fields(Membership)}
            if not fields.keys() <= known:
                raise ValueError(f"A record has the fields {', '.join(sorted(known))}.")
            changed = {name for name, new in fields.items() if getattr(membership, name) != new}
            for name in changed:
                setattr(membership, name, fields[name])
            if "admin" in changed:
                is_admin = membership.admin
                event = testing_wire.EVENT_ADMIN_ADD
                self._tell(event if is_admin else testing_wire.EVENT_ADMIN_REMOVE, person, corp_id)
            if "roles" in changed:
                roles = {testing_wire.EVENT_ROLE_IDS: [role.id for role in membership.roles]}
                self._tell(testing_wire.EVENT_ROLE_CHANGE, person, corp_id, roles)
            if "active" in changed and membership.active:
                self._tell(testing_wire.EVENT_USER_ACTIVE, person, corp_id)
            if changed - {"admin", "roles", "active"}:
                self._tell(testing_wire.EVENT_USER_MODIFY, person, corp_id)
            return membership

    def _tell(
        self, event: str, person: Person, corp_id: str, data: Mapping[str, Any] | None = None
    ) -> None:
        if self._announce is not None and corp_id == self.application.corp_id:
            self._announce(event, person, data or {})

    def person(self, user: str | Person) -> Person:
        """Return the person of that name; the text of `ValueError` lists all names."""
        if isinstance(user, Person):
            return user
        try:
            return self.users[user]
        except KeyError:
            raise ValueError(
                f"There is no user {user!r}. There are {', '.join(self.users)}; see add_user()."
            ) from None
