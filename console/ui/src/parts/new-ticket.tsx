import { api, onceKey } from '../api/client';
import type { Channel, Level, OpenTicket } from '../api/schema';
import { navigate } from '../router';
import { t } from '../text';
import { Field } from './field';
import { FormDialog } from './form-dialog';
import { Select } from './select';

export function NewTicket(props: { close: () => void }) {
  const key = onceKey();
  return (
    <FormDialog
      title={t().newTicket.title}
      submit={t().newTicket.submit}
      names={['title', 'customer', 'contact', 'description']}
      close={props.close}
      send={async (text) => {
        const ticket: OpenTicket = {
          title: text('title'),
          customer: text('customer'),
          contact: text('contact') || null,
          description: text('description'),
          channel: text('channel') as Channel,
          impact: text('impact') as Level,
          urgency: text('urgency') as Level,
        };
        const opened = await api.openTicket(ticket, key);
        navigate(`/tickets/${opened.number}`);
      }}
    >
      {(problem) => (
        <>
          <Field label={t().newTicket.what} problem={problem('title')}>
            {(given) => <input {...given} name="title" dir="auto" required maxLength={200} autocomplete="off" autofocus />}
          </Field>
          <Field label={t().newTicket.customer} problem={problem('customer')}>
            {(given) => <input {...given} name="customer" dir="auto" required maxLength={200} autocomplete="off" />}
          </Field>
          <Field label={t().newTicket.contact} problem={problem('contact')}>
            {(given) => <input {...given} name="contact" dir="auto" maxLength={200} autocomplete="off" />}
          </Field>
          <Field label={t().newTicket.description} problem={problem('description')}>
            {(given) => <textarea {...given} name="description" dir="auto" rows={3} maxLength={20_000} />}
          </Field>
          <div class="fields">
            <Select name="channel" label={t().newTicket.channel} options={{ phone: t().channels.phone, web: t().channels.web }} />
            <Select name="impact" label={t().newTicket.impact} options={t().impacts} chosen="medium" />
            <Select name="urgency" label={t().newTicket.urgency} options={t().urgencies} chosen="medium" />
          </div>
        </>
      )}
    </FormDialog>
  );
}
