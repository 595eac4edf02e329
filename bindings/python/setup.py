"""Builds the extension. Where pkg-config knows libexecq, that one is used; else the library is built from the tree with CMake
and put beside the extension."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent


def version():
    text = (root / "include/execq/version.h").read_text()
    return ".".join(re.search(rf"EXECQ_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def pkg_config(*arguments):
    done = subprocess.run(["pkg-config", *arguments, "execq"], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else None


class Build(build_ext):
    def build_extension(self, extension):
        minor = version().rpartition(".")[0]
        # EXECQ_FROM_TREE=1: not the installed one. While the version is 0.x another minor version may not fit.
        installed = None
        if not os.environ.get("EXECQ_FROM_TREE"):
            found = pkg_config("--modversion")
            installed = pkg_config("--cflags", "--libs") if found and found[0].startswith(minor + ".") else None
        if installed is None:
            self.build_library(extension)
        else:
            self.use(extension, installed)
        super().build_extension(extension)

    def use(self, extension, flags):
        extension.extra_compile_args += [flag for flag in flags if not flag.startswith(("-L", "-l"))]
        extension.extra_link_args += [flag for flag in flags if flag.startswith(("-L", "-l"))]
        folder = pkg_config("--variable=libdir")
        if folder and folder[0] not in ("/usr/lib", "/usr/local/lib"):
            extension.extra_link_args.append(f"-Wl,-rpath,{folder[0]}")
        if "-lexecq" not in extension.extra_link_args:
            extension.extra_link_args.append("-lexecq")

    def build_library(self, extension):
        package = pathlib.Path(self.get_ext_fullpath(extension.name)).parent
        package.mkdir(parents=True, exist_ok=True)
        build = pathlib.Path(os.environ.get("EXECQ_BUILD_DIR") or tempfile.mkdtemp(prefix="execq-build-"))
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DEXECQ_BUILD_TESTS=OFF", "-DEXECQ_BUILD_EXAMPLES=OFF",
                   "-DEXECQ_BUILD_BENCH=OFF", "-DEXECQ_INSTALL=OFF"]
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        subprocess.run(["cmake", "-S", root, "-B", build, *generator, *options], check=True)
        subprocess.run(["cmake", "--build", build, "--target", "execq", "--parallel"], check=True)
        library = next(path for path in build.glob("libexecq.so.*") if path.is_symlink())
        shutil.copy(library, package / library.name)  # the file behind the name that the loader asks for
        extension.include_dirs.append(str(root / "include"))
        extension.extra_link_args += [str(package / library.name), "-Wl,-rpath,$ORIGIN"]


setup(
    version=version(),
    cmdclass={"build_ext": Build},
    ext_modules=[
        Extension(
            "execq._execq",
            sources=sorted(str(path.relative_to(here)) for path in (here / "src").glob("*.c")),
            depends=["src/binding.h"],
            extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden"],
        )
    ],
)
