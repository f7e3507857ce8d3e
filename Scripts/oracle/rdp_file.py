"""Checks a signed .rdp file as its reader does: rdp_file.py FILE CERTIFICATE, JSON on standard output.

It shares no code with Farbell: the file is read by Python's codecs, the message is put together by the list that rdpsign
(github.com/nfedera/rdpsign) takes for secured settings, and `openssl cms` verifies it.
"""

import base64
import codecs
import json
import struct
import subprocess
import sys
import tempfile

# In the order of the signed message; how the scope names them where capitals are not those of the words.
SECURED = """Full Address:s, Alternate Full Address:s, PCB:s, Use Redirection Server Name:i, Server Port:i,
Negotiate Security Layer:i, EnableCredSspSupport:i, DisableConnectionSharing:i, AutoReconnection Enabled:i,
GatewayHostname:s, GatewayUsageMethod:i, GatewayProfileUsageMethod:i, GatewayCredentialsSource:i, Support URL:s,
PromptCredentialOnce:i, Require pre-authentication:i, Pre-authentication server address:s, Alternate Shell:s,
Shell Working Directory:s, RemoteApplicationProgram:s, RemoteApplicationExpandWorkingdir:s, RemoteApplicationMode:i,
RemoteApplicationGuid:s, RemoteApplicationName:s, RemoteApplicationIcon:s, RemoteApplicationFile:s,
RemoteApplicationFileExtensions:s, RemoteApplicationCmdLine:s, RemoteApplicationExpandCmdLine:s,
Prompt For Credentials:i, Authentication Level:i, AudioMode:i, RedirectDrives:i, RedirectPrinters:i,
RedirectCOMPorts:i, RedirectSmartCards:i, RedirectPOSDevices:i, RedirectClipboard:i, DevicesToRedirect:s,
DrivesToRedirect:s, LoadBalanceInfo:s, RedirectDirectX:i, RDGIsKDCProxy:i, KDCProxyName:s, EventLogUploadAddress:s"""


def secured():
    for entry in SECURED.replace("\n", " ").split(","):
        scope, kind = entry.strip().rsplit(":", 1)
        yield f"{scope.lower()}:{kind}:", scope


def verifies(message, signature, certificate):
    with tempfile.NamedTemporaryFile() as der, tempfile.NamedTemporaryFile() as content:
        der.write(signature)
        content.write(message)
        der.flush()
        content.flush()
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", der.name, "-content", content.name,
                   "-CAfile", certificate, "-purpose", "any", "-out", "/dev/null"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main(path, certificate):
    with codecs.open(path, "r", encoding="utf-16") as file:
        lines = [line for line in file.read().split("\r\n") if line]
    settings = [line for line in lines if not line.startswith(("signscope:s:", "signature:s:"))]
    signed, names = [], []
    for prefix, scope in secured():
        for line in settings:
            if line.startswith(prefix):
                signed.append(line)
                names.append(scope)
    scope = "signscope:s:" + ",".join(names)
    message = ("\r\n".join(signed) + "\r\n" + scope + "\r\n\0").encode("utf-16-le")
    text = [line for line in lines if line.startswith("signature:s:")]
    verified = False
    if len(text) == 1 and scope in lines:
        blob = base64.b64decode(text[0][len("signature:s:"):], validate=True)
        version, kind, length = struct.unpack("<III", blob[:12])
        verified = (version, kind, length) == (0x00010001, 1, len(blob) - 12) and verifies(
            message, blob[12:], certificate)
    json.dump({"verified": verified, "signed": signed, "open": [line for line in settings if line not in signed]},
              sys.stdout)


main(*sys.argv[1:])
