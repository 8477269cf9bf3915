// What `npm run chart` writes, as data: templates/ translated into Go templates, values with defaults, schema, README.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET } from '../../src/api/names.ts';
import { type ManifestValue, UNUSUAL, VALUE_GROUPS, VALUES } from '../../src/commands/join/values.ts';

/** A file of the chart. */
export interface ChartFile {
  /** Below the chart's folder. */
  readonly path: string;
  readonly text: string;
}

/** What the chart is called, and of which release it is. */
export interface Release {
  readonly name: string;
  readonly version: string;
  readonly description: string;
}

const FOLDERS = ['engine', 'routeagent', 'submariner'];
const VERSION = '(or .Values.version .Chart.AppVersion)';
const imageOf = (value: string, image: string): string =>
  `(or .Values.${value} (printf "%s/${image}:%s" .Values.repository ${VERSION}))`;
/** Values whose default follows from others. */
const DERIVED: Readonly<Record<string, string>> = {
  version: VERSION,
  gatewayImage: imageOf('gatewayImage', 'submariner-gateway'),
  routeAgentImage: imageOf('routeAgentImage', 'submariner-route-agent'),
};
const values: Readonly<Record<string, ManifestValue>> = VALUES;
const unusual: Readonly<Record<string, string>> = UNUSUAL;

function valueNamed(variable: string): ManifestValue {
  const value = values[unusual[variable] ?? variable];
  if (value === undefined) throw new Error(`no value is called ${variable}`);
  return value;
}

/** The Go expression for a variable of a template. */
function expression(variable: string): string {
  return DERIVED[variable] ?? `.Values.${unusual[variable] ?? variable}`;
}

/** When a variable that may be left out is there. */
function condition(variable: string): string {
  const of = unusual[variable];
  if (of === undefined) return expression(variable);
  const usual = valueNamed(variable).default;
  if (typeof usual === 'object') throw new Error(`${of}: a list or map is never left out`);
  return `ne (printf "%v" .Values.${of}) "${usual}"`;
}

/** The value as YAML: Go's quoting of texts is understood by YAML. */
function yaml(variable: string, asText: boolean): string {
  const { default: standard } = valueNamed(variable);
  const of = expression(variable);
  if (Array.isArray(standard)) return `[{{ range ${of} }}{{ printf "%q" . }}, {{ end }}]`;
  if (typeof standard === 'object')
    return `{ {{ range $key, $one := ${of} }}{{ printf "%q: %q, " $key $one }}{{ end }} }`;
  if (typeof standard === 'string') return `{{ printf "%q" ${of} }}`;
  return asText ? `{{ printf "%v" ${of} | printf "%q" }}` : `{{ ${of} }}`;
}

/** One line of a manifest; throws when it uses variables in a way that cannot be translated. */
function translateLine(line: string): string {
  if (/\{\{|\$\$\{/.test(line)) throw new Error(`cannot be translated: ${line}`);
  const filled = line
    .replaceAll(/'\$\{(\w+)\??\}'/g, (_, variable: string) => yaml(variable, true))
    .replaceAll(/(?<=[:-] )\$\{(\w+)\??\}(?=$|,| \})/g, (_, variable: string) => yaml(variable, false));
  if (filled.includes('${')) throw new Error(`a variable must be a whole value: ${line}`);
  const optional = /^\s*[^'"]*: '?\$\{(\w+)\?\}'?$/.exec(line)?.[1];
  if (optional === undefined && line.includes('?}'))
    throw new Error(`only the value of a line can be optional: ${line}`);
  if (optional === undefined) return filled;
  const indent = /^\s*/.exec(line)?.[0] ?? '';
  return `${indent}{{- if ${condition(optional)} }}\n${filled}\n${indent}{{- end }}`;
}

/** A manifest with `${name}` as the Go template that renders the same object. */
export function translate(text: string): string {
  return text.split('\n').map(translateLine).join('\n');
}

function manifests(root: string): readonly ChartFile[] {
  return FOLDERS.flatMap((folder) =>
    filesOf(path.join(root, 'templates', folder)).map(({ path: name, text }) => ({
      path: `templates/${folder}-${name}`,
      text: translate(text),
    })),
  );
}

function filesOf(dir: string): readonly ChartFile[] {
  const names = readdirSync(dir).filter((name) => name.endsWith('.yaml'));
  return names.sort().map((name) => ({ path: name, text: readFileSync(path.join(dir, name), 'utf8') }));
}

function valuesFile(): string {
  const groups = Object.entries(VALUE_GROUPS).map(([title, group]) => {
    const lines = Object.entries(group).map(
      ([name, value]) => `# ${describe(value)}\n${name}: ${JSON.stringify(value.default)}\n`,
    );
    return `## ${title}\n${lines.join('')}`;
  });
  return `# Made from the sources of subctl: \`subctl join broker-info.subm --dry-run --helm-values\` prints those of a cluster.\n\n${groups.join('\n')}`;
}

function describe({ what, required, choices }: ManifestValue): string {
  const notes = [...(required ? ['required'] : []), ...(choices === undefined ? [] : [choices.join(', ')])];
  return notes.length === 0 ? what : `${what} (${notes.join('; ')})`;
}

function schemaFile(): string {
  const properties = Object.entries(values).map(([name, value]) => [name, schemaOf(value)]);
  const required = Object.entries(values).filter(([, value]) => value.required);
  return `${JSON.stringify(
    {
      $schema: 'https://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { ...Object.fromEntries(properties), global: { type: 'object' } },
      required: required.map(([name]) => name),
      additionalProperties: false,
    },
    undefined,
    2,
  )}\n`;
}

function schemaOf({ what, default: standard, required, choices }: ManifestValue): object {
  const description = { description: what };
  if (Array.isArray(standard)) return { ...description, type: 'array', items: { type: 'string' } };
  if (typeof standard === 'object') return { ...description, type: 'object', additionalProperties: { type: 'string' } };
  if (typeof standard === 'number') return { ...description, type: 'integer', minimum: 1 };
  return {
    ...description,
    type: typeof standard,
    ...(required ? { minLength: 1 } : {}),
    ...(choices === undefined ? {} : { enum: choices }),
  };
}

function readme({ name, version, description }: Release): string {
  const rows = Object.entries(values).map(
    ([key, value]) => `| \`${key}\` | ${describe(value)} | \`${JSON.stringify(value.default)}\` |`,
  );
  return [
    `# ${name} ${version}`,
    '',
    `${description}. Joins one cluster: the same objects as \`subctl join\`.`,
    '',
    '```sh',
    'subctl join broker-info.subm --context east --gateways 1 --dry-run --helm-values --include secrets > values.yaml',
    `helm --kube-context east install submariner . --namespace kube-system -f values.yaml`,
    'kubectl --context east label node NAME submariner.io/gateway=true',
    '```',
    '',
    'The namespace `submariner-operator` is part of the chart, so the release itself is kept in another one.',
    '',
    '| value | what | default |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function chartFile({ name, version, description }: Release): string {
  const fields = {
    apiVersion: 'v2',
    name,
    version,
    appVersion: version,
    type: 'application',
    kubeVersion: '>=1.21.0-0',
    description,
  };
  return Object.entries(fields)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join('');
}

/** join makes them from what the broker gives it; here they are values, or somebody else makes them. */
const SECRETS = `{{- if .Values.brokerToken }}
apiVersion: v1
kind: Secret
metadata: { name: ${BROKER_SECRET}, namespace: ${OPERATOR_NAMESPACE} }
type: Opaque
data:
  token: {{ printf "%q" .Values.brokerToken }}
  namespace: {{ printf "%q" .Values.brokerTokenNamespace }}
  ca.crt: {{ printf "%q" .Values.brokerTokenCa }}
{{- end }}
{{- if .Values.ipsecPsk }}
---
apiVersion: v1
kind: Secret
metadata: { name: ${PSK_SECRET}, namespace: ${OPERATOR_NAMESPACE} }
type: Opaque
data:
  psk: {{ printf "%q" .Values.ipsecPsk }}
{{- end }}
`;

const NOTES = `Cluster {{ .Values.clusterId }} joins the set of broker {{ .Values.brokerServer }}.
{{- if not .Values.ipsecPsk }}
Its pods wait for Secret submariner-operator/submariner-ipsec-psk.
{{- end }}
{{- if not .Values.brokerToken }}
Its pods wait for Secret submariner-operator/submariner-broker-secret.
{{- end }}
Label its gateways, if that is not done yet: kubectl label node NAME submariner.io/gateway=true
Then see: subctl show connections --wait
`;

/** All files of the Helm chart. */
export function chartFiles(root: string, release: Release): readonly ChartFile[] {
  return [
    { path: 'Chart.yaml', text: chartFile(release) },
    { path: 'values.yaml', text: valuesFile() },
    { path: 'values.schema.json', text: schemaFile() },
    { path: 'README.md', text: readme(release) },
    ...filesOf(path.join(root, 'templates', 'crds')).map((file) => ({ ...file, path: `crds/${file.path}` })),
    ...manifests(root),
    { path: 'templates/secrets.yaml', text: SECRETS },
    { path: 'templates/NOTES.txt', text: NOTES },
  ];
}
