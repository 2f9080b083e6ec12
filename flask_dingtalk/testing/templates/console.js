// Shows the calls as they come, while the page is looked at. Without a script, a reload does.
(function () {
  "use strict";
  var table = document.querySelector("table[data-calls]");
  var body = table.tBodies[0];
  var known = Number(table.dataset.calls);
  var shown = Number(table.dataset.shown);
  var empty = document.querySelector("#calls .empty");

  function add(call) {
    var row = body.insertRow(0);
    row.className = call.code ? "bad" : "";
    var texts = [call.at, call.kind ? call.call + " (" + call.kind + ")" : call.call, call.status, call.code];
    texts.forEach(function (text) { row.insertCell().textContent = text; });
    if (body.rows.length > shown) { body.deleteRow(-1); }
  }

  function show(answer) {
    // The record was cleared meanwhile: begin anew.
    if (answer.total < known) { body.replaceChildren(); }
    answer.new.forEach(add);
    known = answer.total;
    table.hidden = !body.rows.length;
    empty.hidden = !table.hidden;
  }

  function ask() {
    if (document.hidden) { return later(); }
    fetch("/console/calls?known=" + known, { credentials: "omit" })
      .then(function (response) { return response.json(); })
      .then(show)
      .catch(function () {})
      .then(later);
  }

  function later() { setTimeout(ask, 1000); }

  later();
}());
