// The part of the API that is about customer companies. Fetched with the pages that use it.
import { type Page, post, remove, request } from './client';
import type {
  AddContact,
  AddOrganization,
  ChangeContact,
  ChangeOrganization,
  Contact,
  Device,
  FoundContact,
  ListedOrganization,
  Organization,
  Product,
  PutProduct,
  WholeOrganization,
} from './schema';

export const people = {
  organizations: (part: string, cursor?: string) =>
    request<Page<ListedOrganization>>(`organizations?${new URLSearchParams({ ...(part ? { q: part } : {}), ...(cursor ? { cursor } : {}) })}`),
  organization: (id: number) => request<WholeOrganization>(`organizations/${id}`),
  addOrganization: (company: AddOrganization) => post<Organization>('organizations', company),
  changeOrganization: (id: number, change: ChangeOrganization) => request<Organization>(`organizations/${id}`, { method: 'PATCH', body: change }),
  contacts: (part: string) => request<FoundContact[]>(`contacts?${new URLSearchParams({ q: part })}`),
  addContact: (company: number, contact: AddContact) => post<Contact>(`organizations/${company}/contacts`, contact),
  changeContact: (id: number, change: ChangeContact) => request<Contact>(`contacts/${id}`, { method: 'PATCH', body: change }),
  mergeContact: (id: number, into: number) => post<Contact>(`contacts/${id}/merge`, { into }),
  undoMerge: (id: number) => request<Contact>(`contacts/${id}/merge`, { method: 'DELETE' }),
  addProduct: (company: number, product: PutProduct) => post<Product>(`organizations/${company}/products`, product),
  putProduct: (company: number, id: number, product: PutProduct) =>
    request<Product>(`organizations/${company}/products/${id}`, { method: 'PUT', body: product }),
  forgetProduct: (company: number, id: number) => remove(`organizations/${company}/products/${id}`),
  devicesOf: (company: number) => request<Page<Device>>(`devices?organization=${company}`),
};
