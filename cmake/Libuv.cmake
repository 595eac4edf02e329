# Finds libuv 1.44 or newer as the target execq_libuv: by pkg-config, else by libuv's own CMake package.
# The shared library is what is wanted: libexecq must share the copy that its host program uses.

set(execq_libuv_minimum 1.44)
set(execq_libuv_packages "Debian, Ubuntu: libuv1-dev; Fedora: libuv-devel; Homebrew: libuv")

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(EXECQ_LIBUV QUIET IMPORTED_TARGET libuv)
endif()
if(EXECQ_LIBUV_FOUND)
    set(execq_libuv_version ${EXECQ_LIBUV_VERSION})
    set(execq_libuv_target PkgConfig::EXECQ_LIBUV)
else()
    find_package(libuv CONFIG QUIET)
    if(TARGET libuv::uv)
        set(execq_libuv_target libuv::uv)
    elseif(TARGET uv)
        set(execq_libuv_target uv)
    endif()
    set(execq_libuv_version ${libuv_VERSION})
endif()

if(NOT execq_libuv_target)
    message(FATAL_ERROR "libuv was not found. libexecq needs libuv ${execq_libuv_minimum} or newer with its headers "
        "(${execq_libuv_packages}).")
endif()
if(execq_libuv_version AND execq_libuv_version VERSION_LESS execq_libuv_minimum)
    message(FATAL_ERROR "libuv ${execq_libuv_version} is too old. libexecq needs libuv ${execq_libuv_minimum} or newer "
        "(${execq_libuv_packages}).")
endif()

add_library(execq_libuv INTERFACE)
target_link_libraries(execq_libuv INTERFACE ${execq_libuv_target})
