/** A package of npm that is in a bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** A package of Debian that is installed. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Source package and its version, where they differ from the binary one. */
  readonly source: string;
}

/** The installed packages in the text of /var/lib/dpkg/status, by name. */
export function debianPackages(status: string): readonly DebianPackage[] {
  return status
    .split('\n\n')
    .flatMap((paragraph) => {
      const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? '';
      if (field('Status') !== 'install ok installed') return [];
      const name = field('Package');
      return [
        { name, version: field('Version'), architecture: field('Architecture'), source: field('Source') || name },
      ];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
