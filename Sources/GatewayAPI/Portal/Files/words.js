// The page's languages. Words stand in `words-….js`, one file for each; what one lacks is said in English.

import en from "./words-en.js";
import zh from "./words-zh.js";

/** What a person may choose, by language tag. */
export const languages = { en: "English", zh: "简体中文" };

const words = { en, zh };
const key = "farbell.language";

/** The language in use. */
export let language = chosen();

function chosen() {
  const kept = localStorage.getItem(key);
  if (kept in words) return kept;
  return navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in words) ?? "en";
}

/** Speaks another language from now on; whoever shows words has to show them again. */
export function speak(tag) {
  localStorage.setItem(key, tag);
  language = tag;
  document.documentElement.lang = tag === "zh" ? "zh-Hans" : tag;
}

/** The words of a name, with `{place}`s filled in. */
export function t(name, places = {}) {
  const text = words[language][name] ?? en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, place) => String(places[place] ?? ""));
}

/** What is wrong, in words for people; the server's own where there are none. */
export function reason(error) {
  const own = `error.${error.code}`;
  return own in en ? t(own) : t("error.other", { detail: error.message });
}

/** A moment as people say it. */
export function moment(text) {
  const date = new Date(text);
  const isToday = date.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(document.documentElement.lang,
    isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" }).format(date);
}

const units = ["byte", "kilobyte", "megabyte", "gigabyte"];

/** So many bytes as people say it. */
export function size(bytes) {
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return new Intl.NumberFormat(document.documentElement.lang,
    { style: "unit", unit: units[step], unitDisplay: "short", maximumFractionDigits: 1 }).format(bytes / 1024 ** step);
}

speak(language);
