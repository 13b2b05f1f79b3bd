// Figures, times and foreign text for people.
import { createSignal } from 'solid-js';

import { consoleNow } from './api/client';
import { factWord, locale, t } from './text';

const [now, setNow] = createSignal(consoleNow());
setInterval(() => setNow(consoleNow()), 1_000);

/** The console's clock, once a second. */
export { now };

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;

/** How long ago something was, in the largest whole unit. */
export function age(atMs: number): string {
  const passed = Math.max(0, now() - atMs);
  const [unit, size] = UNITS.find(([, size]) => passed >= size) ?? ['minute', 60_000];
  return unitText(Math.floor(passed / size), unit);
}

/** The time of day, with the date unless it is today. */
export function when(atMs: number): string {
  const at = new Date(atMs);
  const today = new Date(now()).toDateString() === at.toDateString();
  const style: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit' };
  return at.toLocaleString(locale(), today ? style : { ...style, year: 'numeric', month: 'short', day: 'numeric' });
}

export function clockTime(atMs: number): string {
  return new Date(atMs).toLocaleTimeString(locale(), { hour: '2-digit', minute: '2-digit' });
}

/** What a ticket is called, also where its title is not known yet. */
export function titleOf(ticket: { title: string }): string {
  return ticket.title ? foreign(ticket.title) : t().ticket.untitled;
}

/** A moment as a `datetime-local` input takes it, to the minute; empty for none. */
export function localInput(atMs: number | null | undefined): string {
  if (atMs == null) return '';
  const at = new Date(atMs);
  return new Date(atMs - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** What is left of a code's life, as minutes and seconds. */
export function remaining(untilMs: number): string {
  const seconds = Math.max(0, Math.floor((untilMs - now()) / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Seconds of work as whole minutes, or hours and minutes. */
export function minutesText(seconds: number): string {
  const minutes = Math.max(1, Math.round(seconds / 60));
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours === 0) return unitText(minutes, 'minute');
  return rest === 0 ? unitText(hours, 'hour') : `${unitText(hours, 'hour')} ${unitText(rest, 'minute')}`;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  const exponent = value < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${number(value / 1024 ** exponent, exponent === 0 ? 0 : 1)} ${units[exponent]}`;
}

function micros(value: number): string {
  if (value < 1_000) return `${number(value, 0)} µs`;
  if (value < 1_000_000) return `${number(value / 1_000, 1)} ms`;
  return `${number(value / 1_000_000, 1)} s`;
}

function seconds(value: number): string {
  const passed = value * 1_000;
  const at = UNITS.findIndex(([, size]) => passed >= size);
  if (at < 0) return unitText(Math.floor(value), 'second');
  const [unit, size] = UNITS[at] ?? UNITS[2];
  const first = unitText(Math.floor(passed / size), unit);
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((passed % size) / next[1]) : 0;
  return next && rest > 0 ? `${first} ${unitText(rest, next[0])}` : first;
}

function unitText(value: number, unit: string): string {
  return new Intl.NumberFormat(locale(), { style: 'unit', unit, unitDisplay: 'short' }).format(value);
}

export function number(value: number, digits = 1): string {
  return value.toLocaleString(locale(), { maximumFractionDigits: digits });
}

/** A figure of a finding's evidence: the device sends text and a unit. */
export function figure(value: string, unit: string): string {
  const parsed = value.trim() === '' ? Number.NaN : Number(value);
  if (!Number.isFinite(parsed)) return unit ? `${foreign(factWord(value))} ${foreign(factWord(unit))}` : foreign(factWord(value));
  switch (unit) {
    case 'bytes':
      return bytes(parsed);
    case 'us':
      return micros(parsed);
    case 'ms':
      return micros(parsed * 1_000);
    case 's':
    case 'seconds':
      return seconds(parsed);
    case '%':
      return `${number(parsed)} %`;
    case '':
      return number(parsed, 2);
    default:
      return `${number(parsed, 2)} ${foreign(factWord(unit))}`;
  }
}

/** A fact by the unit that its key ends with. */
export function factFigure(key: string, value: number): string {
  if (key.endsWith('_at_unix_ms')) return when(value);
  if (key.endsWith('_bytes')) return key === 'mtu_bytes' ? `${number(value, 0)} B` : bytes(value);
  if (key.endsWith('_percent')) return `${number(value)} %`;
  if (key.endsWith('_us')) return micros(value);
  if (key.endsWith('_ms')) return micros(value * 1_000);
  if (key.endsWith('_seconds')) return seconds(value);
  if (key.endsWith('_mbps')) return `${number(value, 0)} Mbit/s`;
  if (key === 'vendor_id' || key === 'product_id') return value.toString(16).padStart(4, '0');
  if (key === 'class_code') return value.toString(16).padStart(6, '0');
  return number(value, 2);
}

/**
 * Text from a device or a customer, made safe to lay out: characters that would reorder or hide their neighbours are
 * shown as a replacement character. It is only ever put into text nodes.
 */
export function foreign(text: string): string {
  return text.replace(UNSAFE, '\u{fffd}');
}

/** Control characters except tab and line feed, and the marks, overrides and isolates of bidirectional text. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/g;

/** Joins parts as a list in the chosen language. */
export function list(parts: string[]): string {
  return new Intl.ListFormat(locale(), { type: 'conjunction' }).format(parts);
}

/** A word from a table of words; a word that a newer console sent is shown as it is. */
export function word(table: Record<string, string>, key: string | null | undefined): string {
  return key ? (table[key] ?? foreign(key)) : t().none;
}
