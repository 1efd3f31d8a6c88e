# Helpers shared by the rooms of the project.

separate_arguments(DS_LLVM_DEFS NATIVE_COMMAND ${LLVM_DEFINITIONS})

# Declares a compiler library NAME from SOURCES. It sees LLVM and MLIR and
# shares one precompiled header with all other compiler libraries.
function(ds_add_library name)
  cmake_parse_arguments(arg "" "" "LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  ds_use_mlir(${name})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
  if(arg_DEPENDS)
    add_dependencies(${name} ${arg_DEPENDS})
  endif()
endfunction()

# Lets TARGET include and link MLIR and LLVM.
function(ds_use_mlir target)
  target_include_directories(${target} SYSTEM PUBLIC
                             ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${target} PUBLIC
      _GNU_SOURCE __STDC_CONSTANT_MACROS __STDC_FORMAT_MACROS
      __STDC_LIMIT_MACROS)
  target_link_libraries(${target} PUBLIC MLIR LLVM)
  if(NOT TARGET ds-pch)
    file(WRITE ${CMAKE_BINARY_DIR}/ds-pch.cpp "// Owner of the PCH.\n")
    add_library(ds-pch STATIC ${CMAKE_BINARY_DIR}/ds-pch.cpp)
    target_include_directories(ds-pch SYSTEM PUBLIC
                               ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
    target_compile_definitions(ds-pch PUBLIC
        _GNU_SOURCE __STDC_CONSTANT_MACROS __STDC_FORMAT_MACROS
        __STDC_LIMIT_MACROS)
    target_precompile_headers(ds-pch PRIVATE
                              ${CMAKE_SOURCE_DIR}/cmake/CompilerHeaders.h)
    if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
      target_compile_options(ds-pch PUBLIC -fpch-instantiate-templates
                             "SHELL:-Xclang -fno-pch-timestamp")
    endif()
  endif()
  # The header is compiled for shared code; executables must agree.
  target_compile_options(${target} PRIVATE -fPIC)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    target_compile_options(${target} PRIVATE -fpch-instantiate-templates
                           "SHELL:-Xclang -fno-pch-timestamp")
  endif()
  target_precompile_headers(${target} REUSE_FROM ds-pch)
endfunction()

# Runs mlir-tblgen with this project's and MLIR's include paths.
macro(ds_tablegen)
  mlir_tablegen(${ARGN} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS}
                ${LLVM_INCLUDE_DIRS})
endmacro()
