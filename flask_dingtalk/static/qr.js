// Shows DingTalk's QR code, renews it, and goes to the callback once somebody has scanned it.
// [obtain-identity-credentials]
(() => {
  "use strict";

  // Milliseconds that DingTalk's script has to load.
  const PATIENCE = 10000;
  // Milliseconds that the site has to answer, and after which it is asked again if it did not.
  const PAUSE = 10000;
  // The shortest time between two renewals, in milliseconds.
  const SHORTEST = 1000;
  // HTTP statuses after which another try makes sense.
  const TEMPORARY = [408, 425, 429];
  // The longest time that setTimeout supports, in milliseconds.
  const LONGEST = 2 ** 31 - 1;
  // DingTalk's error code and message for people outside the organisation. Seen, not documented;
  // its script passes on the message, with or without the code.
  const NOT_IN_ORGANISATION = { code: 11055, words: "不在组织内" };

  // The script tag comes after this script, so its events cannot be missed.
  const whenLoaded = (onLoad, onFailure) => {
    const settle = ({ type, target }) => {
      if (target instanceof HTMLScriptElement && "dingtalkQrScript" in target.dataset) {
        if (type === "load") {
          onLoad();
        } else {
          onFailure(new Error(`${target.src} cannot be loaded`));
        }
      }
    };
    document.addEventListener("load", settle, true);
    document.addEventListener("error", settle, true);
    setTimeout(() => onFailure(new Error("DingTalk's script does not come")), PATIENCE);
  };

  const start = (container) => {
    const { frame, login, renewal } = JSON.parse(container.dataset.dingtalkQr);
    const callback = new URL(decodeURIComponent(login.redirect_uri));
    const place = document.getElementById(frame.id);
    const renewButton = container.querySelector(".dingtalk-qr-renew");
    // The newest state, and when to renew it, in milliseconds of Date.now().
    let { state } = login;
    let due = Date.now() + renewal.after * 1000;
    // The state that DingTalk's script got for the code on the page, and when that expires.
    let shown = { state: null, until: 0 };
    let renewing = null;
    let over = false;
    let timer;

    const isShown = () => !over && container.dataset.state === "shown";

    const fail = (reason, detail) => {
      clearTimeout(timer);
      console.warn("DingTalk's QR code:", detail);
      // With the frame goes the focus, if somebody used it there.
      const hadFocus = place.contains(document.activeElement);
      container.dataset.state = "failed";
      delete container.dataset.loading;
      for (const message of container.querySelectorAll("[data-reason]")) {
        message.hidden = message.dataset.reason !== reason;
      }
      renewButton.hidden = reason === "unavailable";
      place.textContent = "";
      if (hadFocus) {
        renewButton.focus();
      }
    };

    // Asks the site for a state that will last; it may return the same one. A browser keeps only a
    // few states and other pages may have pushed this one out, so ask before it is needed.
    const askForState = async () => {
      const patience = new AbortController();
      const limit = setTimeout(() => patience.abort(), PAUSE);
      try {
        const response = await fetch(renewal.url, {
          method: "POST",
          body: new URLSearchParams({ state }),
          headers: { Accept: "application/json" },
          signal: patience.signal,
        });
        if (!response.ok) {
          const error = new Error(`the state was not renewed: HTTP ${response.status}`);
          error.isFinal = response.status < 500 && !TEMPORARY.includes(response.status);
          throw error;
        }
        const answer = await response.json();
        state = answer.state;
        due = Date.now() + answer.renew_after * 1000;
      } finally {
        clearTimeout(limit);
      }
    };

    // One at a time: each answer sets a cookie, and the last one to arrive wins.
    const renewState = () => {
      renewing ??= askForState().finally(() => {
        renewing = null;
      });
      return renewing;
    };

    const succeed = async (code) => {
      over = true;
      clearTimeout(timer);
      if (renewing !== null || Date.now() >= due) {
        // A renewal is under way, or this computer slept. If it fails, the callback reports that.
        await renewState().catch(() => {});
      }
      // Build the URL here, and do not trust the one in the message.
      callback.searchParams.set("authCode", code);
      callback.searchParams.set("state", state);
      window.location.assign(callback);
    };

    // Any page with a reference to this window can send it a message that DingTalk's script takes
    // for its own. The script may also call back twice, or for another code on the page. Only a
    // result for this code has the state that was sent to DingTalk with it.
    const isOurs = (result) => {
      try {
        const sent = result.state || new URL(result.redirectUrl).searchParams.get("state");
        return sent === shown.state;
      } catch {
        return false;
      }
    };
    const onSuccess = (result) => {
      if (!over && isOurs(result) && result.authCode) {
        succeed(result.authCode);
      }
    };
    const onError = (error) => {
      const code = error?.errorCode;
      const text = String((typeof error === "string" ? error : error?.errorMsg) ?? "");
      const isOutside =
        code === NOT_IN_ORGANISATION.code || text.includes(NOT_IN_ORGANISATION.words);
      // DingTalk's script also reports messages that are not from DingTalk, without code and text.
      if (!over && (text || code !== undefined)) {
        fail(isOutside ? "not_in_organisation" : "failed", error);
      }
    };

    const show = () => {
      if (typeof window.DTFrameLogin !== "function") {
        fail("unavailable", "DingTalk's script does not define DTFrameLogin");
        return;
      }
      container.dataset.state = "shown";
      container.dataset.loading = "";
      shown = { state, until: due };
      try {
        window.DTFrameLogin(frame, { ...login, state }, onSuccess, onError);
      } catch (error) {
        fail("unavailable", error);
      }
      if (isShown()) {
        const title = container.getAttribute("aria-label");
        const frames = place.querySelectorAll("iframe");
        for (const iframe of frames) {
          iframe.setAttribute("title", title);
          iframe.addEventListener("load", () => delete container.dataset.loading);
        }
        if (frames.length === 0) {
          delete container.dataset.loading;
        }
        plan(due - Date.now());
      }
    };

    const plan = (milliseconds) => {
      clearTimeout(timer);
      timer = setTimeout(keepGood, Math.min(Math.max(milliseconds, SHORTEST), LONGEST));
    };

    // Renews the state, and shows a new code once the state of the old one has expired. Until then
    // the code stays: somebody may have scanned it and be about to agree.
    const keepGood = async () => {
      if (document.hidden || !isShown()) {
        return;
      }
      const failure = await renewState().then(
        () => null,
        (error) => error,
      );
      if (!isShown()) {
        return;
      }
      if (failure?.isFinal) {
        fail("failed", failure);
      } else if (failure !== null) {
        plan(PAUSE);
      } else if (Date.now() >= shown.until) {
        show();
      } else {
        plan(Math.min(due, shown.until) - Date.now());
      }
    };

    renewButton.addEventListener("click", async () => {
      renewButton.disabled = true;
      try {
        await renewState();
      } catch (error) {
        if (error.isFinal) {
          // This page holds nothing that the site knows any more.
          window.location.reload();
        }
        return;
      } finally {
        renewButton.disabled = false;
      }
      show();
      place.tabIndex = -1;
      place.focus();
    });
    document.addEventListener("visibilitychange", keepGood);
    window.addEventListener("online", keepGood);
    window.addEventListener("pageshow", ({ persisted }) => {
      if (persisted) {
        // The visitor came back to this page; its code and state are used up.
        over = false;
        shown.until = 0;
        keepGood();
      }
    });

    container.dataset.state = "waiting";
    container.dataset.loading = "";
    if (callback.origin !== window.location.origin) {
      // Here the result of a scan would never arrive.
      fail("unavailable", `it works on ${callback.origin} alone, the origin of the callback`);
      return;
    }
    whenLoaded(
      // Also after the time-out, but only once.
      () => shown.state === null && show(),
      (error) => container.dataset.state === "waiting" && fail("unavailable", error),
    );
  };

  for (const container of document.querySelectorAll("[data-dingtalk-qr]:not([data-state])")) {
    start(container);
  }
})();
