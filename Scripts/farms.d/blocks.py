"""blocks.py MANUAL FOLDER: writes the indented blocks of the manual's section "Set one up" into files, one a block:
FARM-NUMBER.sh (commands), .json (part of Farbell's configuration) or .txt (part of somebody else's). FARM is "common"
for what several farms share."""
import pathlib
import re
import sys

manual, folder = map(pathlib.Path, sys.argv[1:])
section = re.search(r"^## Set one up\n(.*?)^## ", manual.read_text(), re.S | re.M).group(1)
parts = re.split(r"^### (.*)\n", section, flags=re.M)[1:]
for heading, text in zip(parts[::2], parts[1::2]):
    named = re.match(r"`(\w+)`", heading)
    farm = named.group(1) if named else "common"
    for number, block in enumerate(re.findall(r"(?:^    .*\n)+", text, re.M)):
        block = re.sub(r"^    ", "", block, flags=re.M)
        if block.startswith('"'):
            kind, block = "json", "{" + block + "}"
        else:
            kind = "txt" if re.match(r"[\w-]+: ", block) else "sh"
        (folder / f"{farm}-{number}.{kind}").write_text(block)
