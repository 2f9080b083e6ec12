"""Who and what the simulated DingTalk knows, and what time it is there."""

import threading
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

from .people import (
    Application,
    Membership,
    Organisation,
    Person,
    Role,
    made_up,
    made_up_number,
)

#: Default of arguments: make up a realistic value. (``None`` means that there is none.)
MADE_UP: Final = "<made up>"


class World:
    """Organisations, people, the application and the clock.

    `lock` is held while a request is answered, so that no request sees half of a change.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.organisations: dict[str, Organisation] = {}
        self.users: dict[str, Person] = {}
        self._drawn: set[str] = set()
        #: Where the pages are, without a slash at its end; empty before they are served.
        self.base_url = ""
        self._offset = 0.0
        own = self.add_organisation(
            f"ding{made_up('own', length=32, hexadecimal=True)}", "示例科技"
        )
        other = self.add_organisation(
            f"ding{made_up('other', length=32, hexadecimal=True)}", "样板贸易"
        )
        self.application = Application(corp_id=own.corp_id)
        self._settle(own.corp_id, other.corp_id)
        self._in_client_user = next(iter(self.users))

    def _settle(self, own: str, other: str) -> None:
        zhang = self.add_user(
            "zhang", nick="张三", email="zhang.san@example.com", corp_ids=(own, other)
        )
        li = self.add_user("li", nick="李四", corp_ids=(own,))
        self.add_user("wang", nick="王五", email="wang.wu@example.com", corp_ids=(other,))
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
    def in_client_user(self) -> str:
        """Who holds the phone: the person that ``dd.requestAuthCode`` gives a code of.

        ``zhang`` from the start. Setting it to a name that there is not is a `ValueError`.
        """
        return self._in_client_user

    @in_client_user.setter
    def in_client_user(self, name: str) -> None:
        with self.lock:
            self._in_client_user = self.person(name).name

    def now(self) -> float:
        """Return the simulated time, in seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        if seconds < 0:
            raise ValueError("The clock only moves forward.")
        with self.lock:
            self._offset += seconds

    def serve_avatars_at(self, base_url: str) -> None:
        """Give everyone with a drawn avatar its address on this server."""
        with self.lock:
            self.base_url = base_url
            for name in self._drawn:
                person = self.users[name]
                person.avatar_url = base_url + person.avatar_path

    def add_organisation(self, corp_id: str, name: str) -> Organisation:
        """Found an organisation; `ValueError` if the corpId is taken."""
        with self.lock:
            if corp_id in self.organisations:
                raise ValueError(f"There is already an organisation {corp_id!r}.")
            organisation = Organisation(corp_id, name, made_up("code", corp_id, length=8).upper())
            self.organisations[corp_id] = organisation
            return organisation

    def add_user(
        self,
        name: str,
        *,
        nick: str | None,
        avatar_url: str | None = MADE_UP,
        mobile: str | None = MADE_UP,
        state_code: str | None = "86",
        email: str | None = None,
        union_id: str | None = None,
        open_id: str | None = None,
        corp_ids: Collection[str] | None = None,
        user_ids: Mapping[str, str] | None = None,
    ) -> Person:
        """Open an account; `ValueError` if the name is taken or an organisation unknown.

        Ids, avatar and mobile number are made up from the name unless given, the same ones in
        every run; ``None`` for mobile number or avatar means that the account has none. Without
        `corp_ids` the person is a member of the application's own organisation. `user_ids` gives
        the userid by corpId.
        """
        with self.lock:
            if name in self.users:
                raise ValueError(f"There is already a user {name!r}.")
            person = Person(
                name=name,
                nick=nick,
                union_id=union_id or made_up("union", name, length=24) + "iEiE",
                open_id=open_id or made_up("open", name, length=24) + "iEiE",
                avatar_url=avatar_url,
                mobile=f"1501234{made_up_number(name, 4)}" if mobile == MADE_UP else mobile,
                state_code=None if mobile is None else state_code,
                email=email,
            )
            chosen = (self.application.corp_id,) if corp_ids is None else corp_ids
            for corp_id in chosen:
                self.join(person, corp_id, user_id=(user_ids or {}).get(corp_id))
            if avatar_url == MADE_UP:
                self._drawn.add(name)
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
        """Make someone a member of an organisation, or its external contact.

        It is the application's own organisation unless given.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            if corp_id not in self.organisations:
                raise ValueError(f"There is no organisation {corp_id!r}: add it first.")
            number = made_up_number(corp_id + person.name, 14)
            membership = Membership(user_id or f"01{number}", external=external)
            person.memberships[corp_id] = membership
            return membership

    def leave(self, user: str | Person, corp_id: str | None = None) -> None:
        """Let someone leave an organisation, the application's own unless given.

        `ValueError` if they are not in it.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            if person.memberships.pop(corp_id, None) is None:
                raise ValueError(f"{person.name!r} is not in the organisation {corp_id!r}.")

    def person(self, user: str | Person) -> Person:
        """Return the person of that name; `ValueError` names those there are."""
        if isinstance(user, Person):
            return user
        try:
            return self.users[user]
        except KeyError:
            raise ValueError(
                f"There is no user {user!r}, only {', '.join(self.users)}; see add_user()."
            ) from None
