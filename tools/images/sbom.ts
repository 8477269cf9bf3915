// Runs in the image while it is built: writes what is in it as CycloneDX JSON. Needs no network and no other file than
// the list of packages beside it and the status of dpkg.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import { debianPackages, type BundledPackage, type DebianPackage } from './packages.ts';

/** What is known of an image before it is built. */
export interface ImageContents {
  readonly version: string;
  /** RFC 3339. */
  readonly created: string;
  readonly node: string;
  /** By name of the image. */
  readonly bundles: Readonly<Record<string, readonly BundledPackage[]>>;
}

function licensed(component: Models.Component, license: string): Models.Component {
  if (license === '') return component;
  const plain = /^[\w.+-]+$/.test(license);
  component.licenses.add(plain ? new Models.SpdxLicense(license) : new Models.LicenseExpression(license));
  return component;
}

function npmComponent({ name, version, license }: BundledPackage): Models.Component {
  const [scope, rest] = name.startsWith('@') ? name.split('/') : [undefined, name];
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const group = scope === undefined ? {} : { group: scope };
  return licensed(
    new Models.Component(Enums.ComponentType.Library, rest ?? name, { ...group, version, purl, bomRef: purl }),
    license,
  );
}

function debianComponent({ name, version, architecture, source }: DebianPackage): Models.Component {
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
  const component = new Models.Component(Enums.ComponentType.Library, name, { version, purl, bomRef: purl });
  component.properties.add(new Models.Property('debian:source', source));
  return component;
}

function nodeComponent(version: string): Models.Component {
  const purl = `pkg:generic/nodejs@${version}`;
  return licensed(new Models.Component(Enums.ComponentType.Platform, 'nodejs', { version, purl, bomRef: purl }), 'MIT');
}

/** The bill of materials of an image as text; equal for equal contents. */
export function renderSbom(image: string, contents: ImageContents, dpkgStatus: string): string {
  const { version, created, node, bundles } = contents;
  const main = new Models.Component(Enums.ComponentType.Container, image, { version, bomRef: image });
  const bom = new Models.Bom({ metadata: new Models.Metadata({ timestamp: new Date(created), component: main }) });
  const components = [
    nodeComponent(node),
    ...(bundles[image] ?? []).map(npmComponent),
    ...debianPackages(dpkgStatus).map(debianComponent),
  ];
  for (const component of components) bom.components.add(component);
  bom.serialNumber = serialNumber(JSON.stringify([image, contents, dpkgStatus]));
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return `${serializer.serialize(bom, { sortLists: true, space: 1 })}\n`;
}

/** A UUID (RFC 9562, version 8) made of the contents, so that two builds of the same tell the same. */
function serialNumber(text: string): string {
  const digits = createHash('sha256').update(text).digest('hex');
  const parts = [digits.slice(0, 8), digits.slice(8, 12), `8${digits.slice(13, 16)}`, `8${digits.slice(17, 20)}`];
  return `urn:uuid:${parts.join('-')}-${digits.slice(20, 32)}`;
}

/** `node sbom.cjs IMAGE FILE` in an image. */
export function main(folder: string, [image = '', file = '']: readonly string[]): void {
  const contents = JSON.parse(readFileSync(path.join(folder, 'contents.json'), 'utf8')) as ImageContents;
  if (contents.bundles[image] === undefined) throw new Error(`contents.json knows no image ${image}`);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, renderSbom(image, contents, readFileSync('/var/lib/dpkg/status', 'utf8')));
}
