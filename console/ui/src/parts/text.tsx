import { foreign, now, when } from '../format';

/** Text from a customer or a device: its direction is its own, and it cannot reorder what stands beside it. */
export function Foreign(props: { text: string | null | undefined; class?: string }) {
  return <bdi class={props.class}>{foreign(props.text ?? '')}</bdi>;
}

/** A moment, readable by machines too. */
export function Time(props: { atMs: number }) {
  return <time dateTime={new Date(props.atMs).toISOString()}>{(now(), when(props.atMs))}</time>;
}
