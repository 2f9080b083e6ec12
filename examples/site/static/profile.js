// Fetches the signed-in user from the guarded JSON endpoint, as any script of the site would.

const button = document.getElementById("fetch");
const answer = document.getElementById("answer");

// Without this script the button would do nothing, so the page starts without it.
button.hidden = false;
button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    answer.replaceChildren(await ask(button.dataset.url));
  } catch {
    answer.replaceChildren(paragraph(answer.dataset.failed));
  }
  button.disabled = false;
});

async function ask(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  const content = await response.json();
  if (response.status === 401) {
    return signInAgain(content.login_url);
  }
  const block = document.createElement("pre");
  // It scrolls, so the keyboard has to get there.
  block.tabIndex = 0;
  block.role = "region";
  block.ariaLabel = url;
  block.textContent = JSON.stringify(content, null, 2);
  return block;
}

// The guard does not know which page the script runs on, so add the way back here.
function signInAgain(loginUrl) {
  const url = new URL(loginUrl, location.href);
  url.searchParams.set("next", location.pathname);
  const link = document.createElement("a");
  link.href = url;
  link.textContent = answer.dataset.signIn;
  const text = paragraph(`${answer.dataset.signedOut} `);
  text.append(link);
  return text;
}

function paragraph(text) {
  const element = document.createElement("p");
  element.textContent = text;
  return element;
}
