// What may stand at a place of a sweep file, by its JSON schema. Pure functions of text before the
// caret; YAML is read by its indentation, as far as sweep files use it.
const KEY = /^(\s*)(?:- )?("[^"]*"|[\w.+-]+)\s*:(.*)$/;

export function completions(schema, before) {
  const { path, typed, key } = where(before);
  const places = walk(schema, path);
  if (key !== null) {
    const options = unique(
      places
        .flatMap((place) => step(schema, place, key))
        .flatMap((place) => valuesOf(schema, place)),
    );
    return { typed, options: fitting(options, typed) };
  }
  const options = unique(
    places.flatMap((place) =>
      Object.entries(place.properties ?? {}).map(([name, inner]) => ({
        name,
        insert: `${name}: `,
        note: brief(describe(schema, inner)),
      })),
    ),
  );
  return { typed, options: fitting(options, typed) };
}

export function meaning(schema, before, after) {
  const row = before.split("\n").at(-1) + after.split("\n")[0];
  const found = row.match(KEY);
  if (!found) return "";
  const { path } = where(
    before.split("\n").slice(0, -1).concat(" ".repeat(found[1].length)).join("\n"),
  );
  const name = found[2].replaceAll('"', "");
  for (const place of walk(schema, path)) {
    const inner = place.properties?.[name];
    const words = inner && describe(schema, inner);
    if (words) return `${name}: ${words}`;
  }
  return "";
}

// The keys above the caret, what has been typed of the word there, and the key of the line if the
// caret stands behind its colon.
export function where(before) {
  const rows = before.split("\n"),
    last = rows.pop();
  const inside = last.match(/^(\s*)(?:- )?([\w.+-]+)\s*:\s*\{(?:.*,)?\s*([\w.+-]*)$/); // a: {b: 1, c
  const behind = last.match(/^(.*?)([\w.+-]+)\s*:\s+([\w.+-]*)$/);
  const indent = last.match(/^\s*/)[0].length;
  const path = [];
  let depth = indent;
  for (const row of rows.reverse()) {
    const found = row.replace(/#.*$/, "").match(KEY);
    if (!found || found[1].length >= depth || found[3].trim()) continue;
    path.unshift(found[2].replaceAll('"', ""));
    depth = found[1].length;
    if (!depth) break;
  }
  if (inside) return { path: [...path, inside[2]], typed: inside[3], key: null };
  if (behind) {
    const opened = behind[1].match(/([\w.+-]+)\s*:\s*\{[^}]*$/);
    return { path: opened ? [...path, opened[1]] : path, typed: behind[3], key: behind[2] };
  }
  return { path, typed: last.match(/[\w.+-]*$/)[0], key: null };
}

// Every form that the schema allows at a path: references followed, alternatives side by side.
function walk(schema, path) {
  let places = forms(schema, schema);
  for (const key of path) places = places.flatMap((place) => step(schema, place, key));
  return places;
}
const step = (schema, place, key) =>
  place.properties?.[key] ? forms(schema, place.properties[key]) : [];
function forms(schema, place, depth = 0) {
  if (depth > 8) return [];
  if (place.$ref)
    return forms(schema, { ...schema.$defs[place.$ref.split("/").at(-1)] }, depth + 1);
  const inner = [...(place.anyOf ?? []), ...(place.oneOf ?? []), ...(place.allOf ?? [])];
  return inner.length ? [place, ...inner.flatMap((one) => forms(schema, one, depth + 1))] : [place];
}
function valuesOf(schema, place) {
  const given =
    place.const !== undefined
      ? [place.const]
      : (place.enum ?? (place.type === "boolean" ? [true, false] : []));
  return given
    .filter((value) => value !== null)
    .map((value) => ({ name: String(value), insert: String(value), note: noteOf(place, value) }));
}
// Descriptions of choices hold a line a choice: `hinge: the hinge loss`.
const noteOf = (place, value) =>
  (place.description ?? "")
    .split("\n")
    .find((line) => line.startsWith(`${value}: `))
    ?.slice(String(value).length + 2) ?? "";
const describe = (schema, place) =>
  place.description ??
  forms(schema, place)
    .map((one) => one.description)
    .find(Boolean) ??
  "";
const brief = (words) => words.split("\n")[0].slice(0, 90);
const unique = (options) => [...new Map(options.map((option) => [option.name, option])).values()];
function fitting(options, typed) {
  const part = typed.toLowerCase();
  const found = options.filter(
    (option) => option.name.toLowerCase().includes(part) && option.name !== typed,
  );
  return found.sort(
    (a, b) => b.name.toLowerCase().startsWith(part) - a.name.toLowerCase().startsWith(part),
  );
}
