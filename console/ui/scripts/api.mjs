// Turns openapi.json into src/api/schema.ts. With --check it only says whether that file is up to date.
import { readFileSync, writeFileSync } from 'node:fs';

const source = new URL('../openapi.json', import.meta.url);
const target = new URL('../src/api/schema.ts', import.meta.url);

const { components } = JSON.parse(readFileSync(source, 'utf8'));

/** The TypeScript type of a JSON schema, as far as the API's description uses them. */
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.allOf) return schema.allOf.map(typeOf).join(' & ');
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return [...new Set(several.map(typeOf))].join(' | ');
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(' | ');
  const kinds = [schema.type ?? 'unknown'].flat();
  return [...new Set(kinds.map((kind) => typeOfKind(kind, schema)))].join(' | ');
}

function typeOfKind(kind, schema) {
  switch (kind) {
    case 'string':
    case 'boolean':
    case 'null':
      return kind;
    case 'integer':
    case 'number':
      return 'number';
    case 'array': {
      const item = typeOf(schema.items ?? {});
      return /[|{ ]/.test(item) ? `(${item})[]` : `${item}[]`;
    }
    case 'object':
      return schema.properties ? objectType(schema) : 'Record<string, unknown>';
    default:
      return 'unknown';
  }
}

function objectType(schema) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = fields.map(([name, field]) => {
    const about = field.description ? `  /** ${field.description.replace(/\s+/g, ' ')} */\n` : '';
    return `${about}  ${JSON.stringify(name).replace(/^"(\w+)"$/, '$1')}${required.has(name) ? '' : '?'}: ${typeOf(field)};\n`;
  });
  return `{\n${lines.join('')}}`;
}

const types = Object.entries(components.schemas)
  // A page is written by hand once, as a generic type.
  .filter(([name]) => !name.startsWith('Page_'))
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, schema]) => {
    const about = schema.description ? `/** ${schema.description.replace(/\s+/g, ' ')} */\n` : '';
    return `${about}export type ${name} = ${typeOf(schema)};\n`;
  });
const text = `// Generated from openapi.json by \`npm run api\`. Do not edit.\n\n${types.join('\n')}`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    console.error('src/api/schema.ts does not match openapi.json: run `npm run api` in console/ui');
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
