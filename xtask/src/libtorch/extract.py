# Usage: python3 -c THIS FOLDER WHEEL...: takes from each wheel what a CPU build needs, all headers, the CPU
# libraries and the licences, into FOLDER. One line on stderr and exit code 1 if that fails.
import os, shutil, sys, zipfile

def wanted(name):
    parts = name.split("/")
    if name.endswith("/") or name.startswith("/") or ".." in parts:
        return False
    base = parts[-1]
    library = ".so" in base or base.endswith(".dylib")
    if parts[:2] == ["torch", "include"] or parts[0] == "torch.libs" or parts[:2] == ["torch", ".dylibs"]:
        return True
    if parts[:2] == ["torch", "lib"] and len(parts) == 3:
        left_out = ("libtorch_cuda", "libc10_cuda", "libtorch_python", "libtorch_nvshmem", "libcaffe2_nvrtc")
        return library and not base.startswith(left_out)
    if parts[0] == "nvidia":
        return base.startswith(("libcudart.so", "libcupti.so"))
    return parts[0].endswith(".dist-info") and ("licen" in base.lower() or "notice" in base.lower())

target = sys.argv[1]
try:
    for wheel in sys.argv[2:]:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if wanted(info.filename):
                    place = os.path.join(target, *info.filename.split("/"))
                    os.makedirs(os.path.dirname(place), exist_ok=True)
                    with archive.open(info) as source, open(place, "wb") as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
    os.sync()
except (OSError, zipfile.BadZipFile) as error:
    sys.exit(str(error))
