// Passkeys: asks the browser for one, and sends its answer in the place of a code. Without this script, codes work as ever.

/** Sends the answer with the form of the page, as the browser writes it in JSON. */
const send = (field, credential) => {
  field.value = JSON.stringify(credential);
  field.form.submit();
};

/** Lets a button do this, and says where it did not work. */
const offer = (place, action) => {
  const button = place.querySelector('button');
  const refused = place.querySelector('[role=status]');
  button.addEventListener('click', async () => {
    button.disabled = true;
    refused.hidden = true;
    try {
      await action();
    } catch {
      refused.hidden = false;
      button.disabled = false;
    }
  });
  place.hidden = false;
};

/** What to ask a passkey, by this page's sign-in or session; null: there is none to ask. */
const asked = async (path, token) => {
  const body = new URLSearchParams(token ? { token: token.value } : {});
  const answer = await fetch(path, { method: 'POST', body, headers: { accept: 'application/json' } });
  return answer.status === 200 ? answer.json() : null;
};

/** Whether a browser gives passkeys of this site to this page. */
const isHere = (site) => location.hostname === site || location.hostname.endsWith(`.${site}`);

/** At the second step of a sign-in, and where a fresh second factor is asked for. */
const give = async (place) => {
  const field = document.querySelector('main form input[name=code]');
  const token = field?.form.elements.namedItem('token');
  const known = field && await asked(place.dataset.passkey, token);
  if (!known || !isHere(known.rpId)) { return; }
  offer(place, async () => {
    // Asked anew: only the last question of a session is answered, and another page may have asked since.
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(await asked(place.dataset.passkey, token));
    send(field, await navigator.credentials.get({ publicKey: options }));
  });
};

/** Where one is added. */
const make = (place) => {
  const field = document.querySelector('main form input[name=code]');
  const wanted = JSON.parse(place.dataset.newPasskey);
  if (!isHere(wanted.rp.id)) {
    document.querySelector('[data-passkey-elsewhere]').hidden = false;
    return;
  }
  offer(place, async () => {
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(wanted);
    send(field, await navigator.credentials.create({ publicKey: options }));
  });
};

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  document.querySelectorAll('[data-needs-script]').forEach((sentence) => sentence.remove());
  document.querySelectorAll('[data-passkey]').forEach((place) => give(place).catch(() => {}));
  document.querySelectorAll('[data-new-passkey]').forEach(make);
}
