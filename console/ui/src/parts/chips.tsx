// Small marks. Each has a shape and a word, so that none speaks by colour alone.
import type { Priority, SessionState, Severity, TicketState } from '../api/schema';
import { word } from '../format';
import { t } from '../text';

export function SeverityMark(props: { severity: Severity }) {
  return (
    <span class={`mark severity-${props.severity}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        {SHAPES[props.severity]?.()}
      </svg>
      {word(t().severities, props.severity)}
    </span>
  );
}

/** Made anew for every mark: an element can be in one place only. */
const SHAPES: Record<Severity, () => Element> = {
  crit: () => (<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5zM8 4v5M8 11.2v.8" />) as Element,
  warn: () => (<path d="M8 1.8 15 14H1zM8 6v4M8 11.6v.6" />) as Element,
  unknown: () => (<path d="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1M6 6.2a2 2 0 1 1 2.6 2Q8 8.4 8 9.500M8 11.400v.6" />) as Element,
  info: () => (<path d="M2 2h12v12H2zM8 7v5M8 4.200v.6" />) as Element,
  ok: () => (<path d="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1M4.8 8.200l2.2 2.2 4.2-4.6" />) as Element,
};

export function StateMark(props: { state: TicketState }) {
  return <span class={`chip state-${props.state}`}>{word(t().states, props.state)}</span>;
}

export function PriorityMark(props: { priority: Priority }) {
  return (
    <span class={`priority priority-${props.priority}`}>
      <svg viewBox="0 0 16 14" aria-hidden="true">
        <path d="M2 13v-3" />
        <path d="M6 13V7.5" />
        <path d="M10 13V5" />
        <path d="M14 13V2" />
      </svg>
      {word(t().priorities, props.priority)}
    </span>
  );
}

export function SessionMark(props: { state: SessionState }) {
  return <span class={`chip session-${props.state}`}>{word(t().sessionStates, props.state)}</span>;
}
