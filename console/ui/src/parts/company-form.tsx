import { ApiError } from '../api/client';
import { people } from '../api/people';
import type { Organization } from '../api/schema';
import { d } from '../text/desk';
import { p } from '../text/people';
import { Field } from './field';
import { FormDialog } from './form-dialog';
import { NameField } from './section';

/** A new company, or another name and place for one. The company that it belongs to is named, not numbered. */
export function CompanyForm(props: { company?: Organization; above?: Organization | undefined; close: () => void; saved: (company: Organization) => void }) {
  const idOf = async (name: string): Promise<number | null> => {
    if (!name) return null;
    if (props.above && name === props.above.name) return props.above.id;
    const found = (await people.organizations(name)).items.find((company) => company.name.toLowerCase() === name.toLowerCase());
    if (found) return found.id;
    throw new ApiError(422, { type: 'about:blank', title: '', status: 422, code: 'invalid', detail: p().noCompany, field: 'parent' });
  };
  return (
    <FormDialog
      title={props.company ? p().changeCompany : p().add}
      submit={d().save}
      names={['name', 'parent']}
      close={props.close}
      send={async (text) => {
        const parent = await idOf(text('parent'));
        props.saved(
          props.company
            ? await people.changeOrganization(props.company.id, { name: text('name'), parent })
            : await people.addOrganization({ name: text('name'), ...(parent === null ? {} : { parent }) }),
        );
      }}
    >
      {(problem) => (
        <>
          <NameField value={props.company?.name ?? ''} problem={problem('name')} />
          <Field label={p().belongsTo} hint={p().belongsToHint} problem={problem('parent')}>
            {(given) => <input {...given} name="parent" maxlength="256" value={props.above?.name ?? ''} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}
