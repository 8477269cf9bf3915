import { readFileSync, readdirSync } from 'node:fs';

/** The tun links a process holds open, by their names as the kernel tells them (proc(5), fdinfo); none when it is gone. */
export function tunLinksOf(pid: number): readonly string[] {
  const folder = `/proc/${pid}/fdinfo`;
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => linkOf(`${folder}/${name}`) ?? []);
}

/** A descriptor may be closed between listing and reading. */
function linkOf(file: string): string | undefined {
  try {
    return /^iff:\s*(\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
