import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { debianPackages } from '../../../tools/images/packages.ts';
import { renderSbom } from '../../../tools/images/sbom.ts';

const STATUS = `Package: nftables
Status: install ok installed
Architecture: amd64
Version: 1.0.6-2+deb12u2

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libssl3
Status: install ok installed
Source: openssl (3.0.1)
Architecture: amd64
Version: 3.0.2
`;
const CONTENTS = {
  version: '0.1.0',
  created: '2026-01-02T03:04:05.000Z',
  node: '24.0.0',
  bundles: {
    'submariner-gateway': [
      { name: 'ws', version: '8.0.0', license: 'MIT' },
      { name: '@scope/part', version: '1.0.0', license: '(MIT OR Apache-2.0)' },
    ],
  },
};

interface Bom {
  readonly specVersion: string;
  readonly serialNumber: string;
  readonly metadata: { readonly timestamp: string; readonly component: { readonly name: string } };
  readonly components: readonly { readonly purl: string; readonly licenses?: unknown }[];
}

test('installed packages of Debian, by name', () => {
  expect(debianPackages(STATUS)).toEqual([
    { name: 'libssl3', version: '3.0.2', architecture: 'amd64', source: 'openssl (3.0.1)' },
    { name: 'nftables', version: '1.0.6-2+deb12u2', architecture: 'amd64', source: 'nftables' },
  ]);
});

test('names Node.js, the packages in the bundles and those of Debian', () => {
  const bom = JSON.parse(renderSbom('submariner-gateway', CONTENTS, STATUS)) as Bom;
  expect(bom.specVersion).toBe('1.6');
  expect(bom.metadata).toMatchObject({ timestamp: CONTENTS.created, component: { name: 'submariner-gateway' } });
  expect(bom.components.map(({ purl }) => purl).sort()).toEqual([
    'pkg:deb/debian/libssl3@3.0.2?arch=amd64',
    'pkg:deb/debian/nftables@1.0.6-2%2Bdeb12u2?arch=amd64',
    'pkg:generic/nodejs@24.0.0',
    'pkg:npm/%40scope/part@1.0.0',
    'pkg:npm/ws@8.0.0',
  ]);
  expect(bom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('has what the schema of CycloneDX requires', () => {
  const schema = JSON.parse(
    readFileSync('node_modules/@cyclonedx/cyclonedx-library/res/schema/bom-1.6.SNAPSHOT.schema.json', 'utf8'),
  ) as {
    readonly required: readonly string[];
    readonly properties: Readonly<Record<string, unknown>>;
    readonly definitions: { readonly component: { readonly required: readonly string[] } };
  };
  const bom = JSON.parse(renderSbom('submariner-gateway', CONTENTS, STATUS)) as Readonly<Record<string, unknown>> & Bom;
  expect(Object.keys(bom)).toEqual(expect.arrayContaining([...schema.required]));
  expect(Object.keys(bom).filter((key) => schema.properties[key] === undefined)).toEqual([]);
  for (const component of bom.components) {
    expect(Object.keys(component)).toEqual(expect.arrayContaining([...schema.definitions.component.required]));
  }
});

test('equal contents give an equal text, other contents another number', () => {
  const first = renderSbom('submariner-gateway', CONTENTS, STATUS);
  expect(renderSbom('submariner-gateway', CONTENTS, STATUS)).toBe(first);
  const other = JSON.parse(renderSbom('submariner-gateway', { ...CONTENTS, version: '0.2.0' }, STATUS)) as Bom;
  expect(other.serialNumber).not.toBe((JSON.parse(first) as Bom).serialNumber);
});
