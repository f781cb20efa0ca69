// Reads CSV text: quoted fields, doubled quotes within them, either end of line (RFC 4180).

/** The rows, each an object by the names in the first line; empty lines are passed over. */
export function parseCsv(text) {
  const [names, ...lines] = splitCsv(text).filter((fields) => fields.some((field) => field));
  if (!names) return [];
  return lines.map((fields) =>
    Object.fromEntries(names.map((name, column) => [name.trim(), fields[column] ?? ""])),
  );
}

function splitCsv(text) {
  const lines = [];
  let fields = [];
  // A field with what follows it: a comma, the end of the line, or the end of the text.
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)|[^]/gy;
  // A byte order mark is no part of the first name.
  const content = text.replace(/^\ufeff/, "");
  while (pattern.lastIndex < content.length) {
    const [, quoted, plain, end] = pattern.exec(content);
    if (end === undefined) throw new SyntaxError(`A quote is out of place in line ${lines.length + 1}.`);
    fields.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== ",") {
      lines.push(fields);
      fields = [];
    }
  }
  if (fields.length > 0) lines.push([...fields, ""]);
  return lines;
}
