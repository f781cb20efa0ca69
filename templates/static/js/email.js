// Which email address was probably meant: what `booking/email_typos.py` asks, of the same tables.

const COUNTRY_CHARACTERS = 2;

/** The address that was probably meant; null where this one is as likely as any. */
export function likelyMeant(email, tables) {
  const at = email.lastIndexOf("@");
  const local = email.slice(0, Math.max(0, at)).trim();
  const domain = email.slice(at + 1).trim().toLowerCase();
  if (!local || !/^[\x00-\x7f]*$/.test(domain) || tables.domains.includes(domain)) return null;
  const labels = domain.split(".");
  const meant = tables.domains.find((known) => isMeant(labels, known.split("."), tables));
  if (meant) return `${local}@${meant}`;
  const endings = new Map(Object.entries(tables.endings));
  const ending = endings.get(labels[labels.length - 1]);
  if (!ending || labels.length === 1) return null;
  return `${local}@${[...labels.slice(0, -1), ending].join(".")}`;
}

function isMeant(labels, known, tables) {
  if (labels.length !== known.length) return false;
  if (labels[0] !== known[0] && known[0].length < tables.name_characters_min) return false;
  return labels.every((label, index) => label === known[index] || isSlip(label, known[index]));
}

/** Whether one letter makes the difference, or two that changed places. */
function isSlip(typed, meant) {
  if (typed.length === COUNTRY_CHARACTERS && meant.length === COUNTRY_CHARACTERS) return false;
  let start = 0;
  while (start < typed.length && typed[start] === meant[start]) start += 1;
  const [t, m] = [typed.slice(start), meant.slice(start)];
  return (
    t.slice(1) === m.slice(1) ||
    t.slice(1) === m ||
    t === m.slice(1) ||
    (t[0] === m[1] && t[1] === m[0] && t.slice(2) === m.slice(2))
  );
}
