// What can follow in a filter, as far as it is typed.

const MOST = 60; // the list scrolls
const COMPARISONS = {
  text: ["==", "!=", "in", "contains"],
  list: ["contains", "=="],
  bool: ["==", "!="],
  number: [">=", "<=", "==", "!=", ">", "<"],
  date: [">=", "<=", "==", "!=", ">", "<"],
};
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u; // any other is in back-quotes
const TOKEN = /`[^`]*`?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[<>=!]=?|[()[\],]|[^\s<>=!()[\],"']+/g;

/** [{label, note, text, caret}]: the text and the caret once the completion is taken. `fields` is
 * what GET /v1/fields lists. */
export function completions(text, caret, fields) {
  const before = text.slice(0, caret);
  const tokens = [...before.matchAll(TOKEN)].map(([token]) => token);
  const typing = /[\s(\[,]$/.test(before) || before === "" ? "" : (tokens.pop() ?? "");
  const start = caret - typing.length;
  return candidates(tokens, typing, fields)
    .filter(({ label }) => label !== typing && matches(label, typing))
    .slice(0, MOST)
    .map(({ label, note }) => {
      const put = before.slice(0, start) + label + (label.endsWith("(") || label.endsWith("[") ? "" : " ");
      return { label, note, text: put + text.slice(caret).trimStart(), caret: put.length };
    });
}

/** Names of the filter that no image has a value for, as far as is known. */
export function unknownFields(text, fields) {
  const known = new Set(fields.map((field) => written(field.name)));
  const tokens = [...text.matchAll(TOKEN)].map(([token]) => token);
  const isField = (token, place) =>
    /^[<>=!]/.test(tokens[place + 1] ?? "") || ["in", "contains"].includes(tokens[place + 1]) || tokens[place - 2] === "exists";
  return tokens.filter((token, place) => /^[`\p{L}_]/u.test(token) && token !== "not" && isField(token, place) && !known.has(token));
}

function matches(label, typing) {
  const plain = (word) => word.replace(/^["'`]/, "").toLowerCase();
  return plain(label).startsWith(plain(typing));
}

function candidates(tokens, typing, fields) {
  const last = tokens.at(-1);
  const known = new Map(fields.map((field) => [written(field.name), field]));
  const operators = ["==", "!=", "<", "<=", ">", ">=", "in", "contains"];
  if (last === undefined || ["and", "or", "not"].includes(last) || (last === "(" && tokens.at(-2) !== "exists")) {
    return [...fieldsOf(fields), { label: "not", note: "" }, { label: "exists(", note: "has a value" }];
  }
  if (last === "(") return fieldsOf(fields);
  if (last === "in") return [{ label: "[", note: "a list" }];
  if (operators.includes(last) && known.has(tokens.at(-2))) return values(known.get(tokens.at(-2)));
  const opening = tokens.lastIndexOf("[");
  if (opening > tokens.lastIndexOf("]")) {
    if (last !== "[" && last !== ",") return [",", "]"].map((label) => ({ label, note: "" }));
    return values(known.get(tokens[opening - 2]));
  }
  if (known.has(last) && !operators.includes(tokens.at(-2))) {
    return (COMPARISONS[known.get(last).type] ?? COMPARISONS.text).map((label) => ({ label, note: "" }));
  }
  return ["and", "or"].map((label) => ({ label, note: "" }));
}

function fieldsOf(fields) {
  const range = ({ min, max, type, values: some }) => {
    if (min !== null && min !== undefined) return `${min} to ${max}`;
    return some.length ? some.slice(0, 3).map(({ value }) => value).join(", ") : type;
  };
  return fields.map((field) => ({ label: written(field.name), note: range(field) }));
}

function written(name) {
  return NAME.test(name) ? name : `\`${name.replaceAll("`", "``")}\``;
}

function values(field) {
  if (!field) return [];
  if (field.type === "number" || field.type === "date") {
    return [field.min, field.max].filter((value) => value !== null && value !== undefined).map((value, end) => ({
      label: field.type === "date" ? String(value).slice(0, 10) : String(value),
      note: end ? "the largest" : "the smallest",
    }));
  }
  return field.values.map(({ value, count }) => ({
    label: typeof value === "string" ? JSON.stringify(value) : String(value),
    note: `${count}`,
  }));
}
