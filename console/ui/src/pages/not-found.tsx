import { t } from '../text';

export function NotFound() {
  return (
    <section class="empty">
      <h1>{t().notFound.title}</h1>
      <p>{t().notFound.text}</p>
      <p>
        <a href="/">{t().notFound.back}</a>
      </p>
    </section>
  );
}
