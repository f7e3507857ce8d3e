"""Checks an RD Web feed on standard input: rdweb_feed.py 1.1|2.0. Says what is wrong and ends with 1.

What stands where is taken from the messages that Microsoft gives as examples ([MS-TSWP] 4.1.1, 4.2.2); Python's own XML
library reads it.
"""

import sys
import xml.etree.ElementTree as ET
from datetime import datetime

SCHEMA = sys.argv[1]
NAMESPACE = "{http://schemas.microsoft.com/ts/2007/05/tswf}"
# Children in their order, with how many there are (+: one or more, *: any number, ?: at most one); attributes needed.
SHAPES = {
    "ResourceCollection": ("Publisher 1", "PubDate SchemaVersion"),
    "Publisher": ("SubFolders ?, Resources 1, TerminalServers 1", "LastUpdated Name ID Description"),
    "SubFolders": ("Folder +", ""),
    "Resources": ("Resource *", ""),
    "Resource": (
        "Icons 1, FileExtensions 1, " + ("Folders 1, " if SCHEMA == "2.0" else "") + "HostingTerminalServers 1",
        "ID Alias Title LastUpdated Type",
    ),
    "Icons": ("IconRaw ?, Icon32 ?", ""),
    "IconRaw": ("", "FileType FileURL"),
    "Icon32": ("", "Dimensions FileType FileURL"),
    "FileExtensions": ("FileExtension *", ""),
    "FileExtension": ("", "Name"),
    "Folders": ("Folder +", ""),
    "Folder": ("", "Name"),
    "HostingTerminalServers": ("HostingTerminalServer +", ""),
    "HostingTerminalServer": ("ResourceFile 1, TerminalServerRef 1", ""),
    "ResourceFile": ("", "FileExtension URL"),
    "TerminalServerRef": ("", "Ref"),
    "TerminalServers": ("TerminalServer +", ""),
    "TerminalServer": ("", "ID Name LastUpdated"),
}
OPTIONAL = {"Publisher": {"SupportsReconnect", "DisplayFolder"}, "Resource": {"ShowByDefault"}}
faults = []


def walk(element, path):
    name = element.tag.removeprefix(NAMESPACE)
    if name == element.tag or name not in SHAPES:
        faults.append(f"{path}: {element.tag} does not belong here")
        return
    children, attributes = SHAPES[name]
    missing = set(attributes.split()) - set(element.attrib)
    surplus = set(element.attrib) - set(attributes.split()) - OPTIONAL.get(name, set())
    if missing or surplus:
        faults.append(f"{path}/{name}: attributes missing {sorted(missing)}, unknown {sorted(surplus)}")
    for attribute in ("PubDate", "LastUpdated"):
        if attribute in element.attrib:
            datetime.fromisoformat(element.attrib[attribute].replace("Z", "+00:00"))
    if (element.text or "").strip():
        faults.append(f"{path}/{name}: holds text")
    rest = [child.tag.removeprefix(NAMESPACE) for child in element]
    for part in filter(None, children.split(", ")):
        wanted, count = part.split()
        found = 0
        while rest and rest[0] == wanted:
            rest.pop(0)
            found += 1
        if (count == "1" and found != 1) or (count == "+" and found < 1) or (count == "?" and found > 1):
            faults.append(f"{path}/{name}: {found} of {wanted}")
    if rest:
        faults.append(f"{path}/{name}: {rest} out of place")
    for child in element:
        walk(child, f"{path}/{name}")


root = ET.fromstring(sys.stdin.buffer.read())
if root.tag != NAMESPACE + "ResourceCollection" or root.get("SchemaVersion") != SCHEMA:
    faults.append(f"{root.tag} {root.get('SchemaVersion')}")
walk(root, "")
servers = {server.get("ID") for server in root.iter(NAMESPACE + "TerminalServer")}
faults += [f"no terminal server {ref.get('Ref')}" for ref in root.iter(NAMESPACE + "TerminalServerRef")
           if ref.get("Ref") not in servers]
ids = [resource.get("ID") for resource in root.iter(NAMESPACE + "Resource")]
if len(ids) != len(set(ids)) or not ids:
    faults.append(f"resources {ids}")
if any(resource.get("Type") not in ("RemoteApp", "Desktop") for resource in root.iter(NAMESPACE + "Resource")):
    faults.append("a resource of another type")
print("\n".join(faults))
sys.exit(1 if faults else 0)
