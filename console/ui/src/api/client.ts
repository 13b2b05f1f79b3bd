// The console's HTTP API as functions. Types come from its own description.
import type {
  Action,
  AddArticle,
  AddGroup,
  AddItems,
  AddOverview,
  AddTime,
  ApiTokenView,
  Article,
  AssignmentRule,
  Attachment,
  ChangeGroup,
  ChangeTicket,
  ChangeTime,
  Changes,
  Checklist,
  ChecklistItem,
  Device,
  DocsView,
  Event,
  Factors,
  Finding,
  Group,
  LinkTicket,
  Macro,
  Me,
  MintedApiToken,
  MintedInvite,
  OpenTicket,
  Overview,
  OwnSignIn,
  PasskeyChallenge,
  PasskeyView,
  PriorityMatrix,
  Problem,
  PutChecklist,
  PutMacro,
  PutRule,
  RecoveryCodes,
  Report,
  Role,
  Series,
  Session,
  SignInView,
  StatusLink,
  SteppedUp,
  Ticket,
  TicketLink,
  TimeEntry,
  TotpSeed,
  User,
  UserLink,
  VerifyTicket,
  Visibility,
} from './schema';

export type Page<T> = { items: T[]; next_cursor?: string | null };

/** One figure that a finding stands on, as the device's rules wrote it. */
export type Evidence = {
  name: string;
  label?: { en: string; zh: string };
  value: string;
  unit: string;
  threshold?: string | null;
  source: string;
};

/** Findings of one rule and severity that a report counts and does not list. */
export type Unlisted = { rule: string; severity: string; count: number };

/** An answer that was not a success. `problem` is absent when the console could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem?: Problem,
  ) {
    super(problem?.detail ?? `HTTP ${status}`);
  }
}

let signedOut: () => void = () => {};

/** What to do when an answer says that the sign-in has ended. */
export function onSignedOut(action: () => void): void {
  signedOut = action;
}

let clockOffsetMs = 0;

/** The console's clock. Codes expire by it, whatever this machine believes. */
export function consoleNow(): number {
  return Date.now() + clockOffsetMs;
}

type Options = { method?: string; body?: unknown; file?: File; headers?: Record<string, string> };

export async function request<T>(path: string, { method = 'GET', body, file, headers = {} }: Options = {}): Promise<T> {
  const init: RequestInit = { method, headers, credentials: 'same-origin', signal: AbortSignal.timeout(file ? UPLOAD_DEADLINE_MS : DEADLINE_MS) };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, 'content-type': 'application/json' };
  }
  if (file) {
    init.body = file;
    init.headers = { ...headers, 'content-type': TAKEN.has(file.type) ? file.type : 'application/octet-stream' };
  }
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, init);
  } catch {
    throw new ApiError(0);
  }
  noteClock(response.headers.get('date'));
  if (response.status === 204) return undefined as T;
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer as T;
  const problem = answer as Problem | undefined;
  if (problem?.code === 'not_signed_in') signedOut();
  throw new ApiError(response.status, problem);
}

function noteClock(date: string | null): void {
  const offset = Date.parse(date ?? '') - Date.now();
  // The header counts whole seconds; a smaller difference is no difference.
  if (Math.abs(offset) > 2_000) clockOffsetMs = offset;
}

/** A key that makes a repeated request harmless. */
export function onceKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export const post = <T>(path: string, body?: unknown, headers?: Record<string, string>) =>
  request<T>(path, { method: 'POST', ...(body === undefined ? {} : { body }), ...(headers ? { headers } : {}) });

export const remove = (path: string) => request<void>(path, { method: 'DELETE' });

const ticketPath = (number: string) => `tickets/${encodeURIComponent(number)}`;

export const api = {
  me: () => request<Me>('session'),
  signIn: (name: string, password: string) => post<Me>('session', { name, password }),
  signInByLink: (token: string) => post<Me>('session/link', { token }),
  setUp: (token: string, password: string) => post<Me>('setup', { token, password }),
  signInByCode: (challenge: string, code: string) => post<Me>('session/second-factor', { challenge, code }),
  beginPasskeySignIn: () => post<PasskeyChallenge>('session/passkey/begin'),
  signInByPasskey: (challenge: string, credential: unknown) => post<Me>('session/passkey', { challenge, credential }),
  firstAdmin: (secret: string, name: string, password: string) => post<Me>('first-admin', { secret, name, password }),
  signOut: () => remove('session'),

  factors: () => request<Factors>('account/factors'),
  stepUp: (proof: { password: string } | { code: string } | { passkey: { challenge: string; credential: unknown } }) =>
    post<SteppedUp>('session/step-up', proof),
  changePassword: (old: string, password: string) => post<void>('session/password', { old, password }),
  ownSignIns: () => request<Page<OwnSignIn>>('sign-ins'),
  endOwnSignIn: (id: number) => remove(`sign-ins/${id}`),
  beginTotp: () => post<TotpSeed>('account/totp'),
  confirmTotp: (code: string) => post<RecoveryCodes>('account/totp/confirm', { code }),
  removeTotp: () => remove('account/totp'),
  renewRecoveryCodes: () => post<RecoveryCodes>('account/recovery-codes'),
  passkeys: () => request<Page<PasskeyView>>('account/passkeys'),
  beginPasskey: () => post<PasskeyChallenge>('account/passkeys/begin'),
  addPasskey: (name: string, challenge: string, credential: unknown) =>
    post<PasskeyView>('account/passkeys', { name, challenge, credential }),
  removePasskey: (id: number) => remove(`account/passkeys/${id}`),
  tokens: () => request<Page<ApiTokenView>>('account/tokens'),
  mintToken: (name: string, actions: Action[], days: number) => post<MintedApiToken>('account/tokens', { name, actions, days }),
  revokeToken: (id: number) => remove(`account/tokens/${id}`),

  tickets: (query: Record<string, string>) => request<Page<Ticket>>(`tickets?${new URLSearchParams(query)}`),
  search: (query: Record<string, string>) => request<Page<Ticket>>(`search?${new URLSearchParams(query)}`),
  ticket: (number: string) => request<Ticket>(ticketPath(number)),
  openTicket: (ticket: OpenTicket, key: string) => post<Ticket>('tickets', ticket, { 'idempotency-key': key }),
  changeTicket: (ticket: Ticket, change: ChangeTicket) =>
    request<Ticket>(ticketPath(ticket.number), {
      method: 'PATCH',
      body: change,
      headers: { 'if-match': `"${ticket.version}"` },
    }),
  mintInvite: (number: string, key: string) =>
    post<MintedInvite>(`${ticketPath(number)}/invites`, undefined, { 'idempotency-key': key }),

  articles: (number: string) => everything<Article>(`${ticketPath(number)}/articles`),
  addArticle: (number: string, article: AddArticle, key: string) =>
    post<Article>(`${ticketPath(number)}/articles`, article, { 'idempotency-key': key }),
  attachments: (number: string) => request<Attachment[]>(`${ticketPath(number)}/attachments`),
  attach: (number: string, file: File, visibility: Visibility) =>
    request<Attachment>(`${ticketPath(number)}/attachments?${new URLSearchParams({ name: file.name, visibility })}`, {
      method: 'POST',
      file,
    }),
  links: (number: string) => request<TicketLink[]>(`${ticketPath(number)}/links`),
  link: (number: string, link: LinkTicket) => post<TicketLink>(`${ticketPath(number)}/links`, link),
  unlink: (number: string, id: number) => request<void>(`${ticketPath(number)}/links/${id}`, { method: 'DELETE' }),
  verify: (number: string, how: VerifyTicket) => post<Ticket>(`${ticketPath(number)}/verify`, how),
  merge: (number: string, into: string) => post<Ticket>(`${ticketPath(number)}/merge`, { into }),
  followUp: (number: string, ticket: OpenTicket, key: string) =>
    post<Ticket>(`${ticketPath(number)}/follow-up`, ticket, { 'idempotency-key': key }),
  statusLink: (number: string) => request<StatusLink>(`${ticketPath(number)}/status-link`),
  groups: () => request<Group[]>('groups'),
  addGroup: (group: AddGroup) => post<Group>('groups', group),
  changeGroup: (id: number, group: ChangeGroup) => request<Group>(`groups/${id}`, { method: 'PATCH', body: group }),
  rules: () => request<AssignmentRule[]>('assignment-rules'),
  putRules: (rules: PutRule[]) => request<AssignmentRule[]>('assignment-rules', { method: 'PUT', body: rules }),
  priorityMatrix: () => request<PriorityMatrix>('priority-matrix'),
  putPriorityMatrix: (matrix: PriorityMatrix) => request<PriorityMatrix>('priority-matrix', { method: 'PUT', body: matrix }),
  checklists: () => request<Checklist[]>('checklists'),
  addChecklist: (list: PutChecklist) => post<Checklist>('checklists', list),
  putChecklist: (id: number, list: PutChecklist) => request<Checklist>(`checklists/${id}`, { method: 'PUT', body: list }),
  forgetChecklist: (id: number) => remove(`checklists/${id}`),
  checklistOf: (number: string) => request<ChecklistItem[]>(`${ticketPath(number)}/checklist`),
  addItems: (number: string, items: AddItems) => post<ChecklistItem[]>(`${ticketPath(number)}/checklist`, items),
  tickItem: (number: string, id: number, done: boolean) =>
    request<ChecklistItem>(`${ticketPath(number)}/checklist/${id}`, { method: 'PATCH', body: { done } }),
  removeItem: (number: string, id: number) => remove(`${ticketPath(number)}/checklist/${id}`),
  macros: () => request<Macro[]>('macros'),
  addMacro: (put: PutMacro) => post<Macro>('macros', put),
  putMacro: (id: number, put: PutMacro) => request<Macro>(`macros/${id}`, { method: 'PUT', body: put }),
  forgetMacro: (id: number) => remove(`macros/${id}`),
  runMacro: (ticket: Ticket, id: number) =>
    post<Ticket>(`${ticketPath(ticket.number)}/macros/${id}`, undefined, { 'if-match': `"${ticket.version}"` }),
  timeOf: (number: string) => request<TimeEntry[]>(`${ticketPath(number)}/time-entries`),
  addTime: (number: string, entry: AddTime) => post<TimeEntry>(`${ticketPath(number)}/time-entries`, entry),
  changeTime: (number: string, id: number, change: ChangeTime) =>
    request<TimeEntry>(`${ticketPath(number)}/time-entries/${id}`, { method: 'PATCH', body: change }),
  removeTime: (number: string, id: number) => remove(`${ticketPath(number)}/time-entries/${id}`),
  overviews: () => request<Overview[]>('overviews'),
  addOverview: (overview: AddOverview) => post<Overview>('overviews', overview),
  forgetOverview: (id: number) => remove(`overviews/${id}`),

  eventsOfTicket: (number: string) => everything<Event>(`${ticketPath(number)}/events`),
  sessionsOfTicket: (number: string) => request<Page<Session>>(`${ticketPath(number)}/sessions?limit=${PAGE_MAX}`),
  reportsOfTicket: (number: string) => request<Page<Report>>(`${ticketPath(number)}/reports?limit=${REPORTS_SHOWN}`),
  facts: (report: number) => request<Record<string, unknown>>(`reports/${report}/facts`),
  unlistedOf: async (report: number) => unlistedIn(await api.facts(report)),
  sessions: () => request<Page<Session>>(`sessions?limit=${PAGE_MAX}`),
  devices: (cursor?: string) =>
    request<Page<Device>>(`devices?limit=${PAGE_MAX}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`),
  device: (id: number) => request<Device>(`devices/${id}`),
  reportsOfDevice: (id: number, cursor?: string) =>
    request<Page<Report>>(`devices/${id}/reports?limit=${REPORTS_SHOWN}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`),
  seriesOfDevice: (id: number) => request<Series>(`devices/${id}/series`),
  changes: (report: number, since: number) => request<Changes>(`reports/${report}/changes?since=${since}`),
  ruleDocs: (name: string) => request<DocsView>(`rules/docs/${encodeURIComponent(name)}`),
  revokeDevice: (id: number, reason: string, key: string) =>
    post<Device>(`devices/${id}/revoke`, { reason }, { 'idempotency-key': key }),
  restoreDevice: (id: number) => post<Device>(`devices/${id}/restore`, undefined, { 'idempotency-key': onceKey() }),
  users: () => request<Page<User>>('users'),
  addUser: (name: string, role: Role) => post<UserLink>('users', { name, role }),
  changeUser: (id: number, role: Role) => request<User>(`users/${id}`, { method: 'PATCH', body: { role } }),
  resetUser: (id: number) => post<UserLink>(`users/${id}/reset`),
  unlockUser: (id: number, reason: string) => post<User>(`users/${id}/unlock`, { reason }),
  resetFactors: (id: number, reason: string) => post<User>(`users/${id}/reset-factors`, { reason }),
  signInsOf: (id: number) => request<Page<SignInView>>(`users/${id}/sign-ins`),
  endSignInsOf: (id: number) => remove(`users/${id}/sign-ins`),
};

/** Reads all pages of a list, up to a bound that no ticket reaches by honest work. */
async function everything<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: Page<T> = await request(`${path}?limit=${PAGE_MAX}${cursor ? `&cursor=${cursor}` : ''}`);
    items.push(...answer.items);
    cursor = answer.next_cursor;
    if (!cursor) break;
  }
  return items;
}

/** The evidence of a finding; what is not evidence is left out. */
export function evidenceOf(finding: Finding): Evidence[] {
  const list: unknown[] = Array.isArray(finding.evidence) ? finding.evidence : [];
  return list.filter((item): item is Evidence => typeof item === 'object' && item !== null && 'value' in item);
}

/** What a report's bytes say of findings that it does not list; what has another shape is left out. */
function unlistedIn(facts: Record<string, unknown>): Unlisted[] {
  const sections: unknown[] = Array.isArray(facts['sections']) ? facts['sections'] : [];
  return sections.flatMap((section) => {
    const more = (section as { findings?: { more?: unknown } } | null)?.findings?.more;
    return Array.isArray(more) ? more.filter(isUnlisted) : [];
  });
}

function isUnlisted(item: unknown): item is Unlisted {
  if (typeof item !== 'object' || item === null) return false;
  return 'rule' in item && 'severity' in item && 'count' in item && typeof item.count === 'number';
}

const DEADLINE_MS = 35_000;
const PAGE_MAX = 200;
const PAGES_MAX = 25;
const REPORTS_SHOWN = 50;

/** A file of ten megabytes over a slow line. */
const UPLOAD_DEADLINE_MS = 120_000;

/** Types that the console keeps as they are; any other file is bytes to it. */
const TAKEN = new Set([
  'application/gzip',
  'application/json',
  'application/pdf',
  'application/zip',
  'image/gif',
  'image/jpeg',
  'image/png',
  'image/webp',
  'text/csv',
  'text/plain',
]);
