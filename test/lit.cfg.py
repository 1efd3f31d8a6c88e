# Configuration of the lit suite. Tests are .mlir, .ds and .test files with RUN
# lines; folders named Inputs hold their data.
import os
import shutil
import sys

import lit.formats

config.name = "dscc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".ds", ".test"]
config.excludes = ["Inputs", "golden", "unit", "models", "contract"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.ds_build_dir, "test")

tools = [os.path.join(config.ds_build_dir, "bin"), config.llvm_tools_dir]
config.environment["PATH"] = os.pathsep.join(
    tools + [config.environment["PATH"]])
config.environment["LC_ALL"] = "C"

config.substitutions += [
    ("%python", sys.executable),
    ("%models", os.path.join(config.ds_source_dir, "models")),
    ("%golden", os.path.join(config.test_source_root, "golden")),
    ("%build", config.ds_build_dir),
    ("%source", config.ds_source_dir),
]

# CUDA's assembler checks generated PTX where there is one.
ptxas = shutil.which("ptxas") or "/usr/local/cuda/bin/ptxas"
if os.path.exists(ptxas):
    config.available_features.add("ptxas")
    config.substitutions.append(("%ptxas", ptxas))
if shutil.which("qemu-x86_64"):
    config.available_features.add("qemu")
