# Installs exactly one version of koffi below FOLDER, unless it is there.
#
#   cmake -DNPM=<npm> -DVERSION=<x.y.z> -DFOLDER=<dir> -P install_koffi.cmake
function(installed result)
    set(version none)
    if(EXISTS ${FOLDER}/node_modules/koffi/package.json)
        file(READ ${FOLDER}/node_modules/koffi/package.json text)
        string(JSON version GET "${text}" version)
    endif()
    set(${result} ${version} PARENT_SCOPE)
endfunction()

installed(version)
if(NOT version STREQUAL VERSION)
    # A package of its own, so that npm does not look for one in the folders above. koffi ships its binaries: no script
    # has to run.
    file(WRITE ${FOLDER}/package.json "{\"private\": true}\n")
    execute_process(
        COMMAND ${NPM} install --no-save --no-package-lock --ignore-scripts --no-audit --no-fund koffi@${VERSION}
        WORKING_DIRECTORY ${FOLDER} RESULT_VARIABLE code)
    installed(version)
    if(NOT code EQUAL 0 OR NOT version STREQUAL VERSION)
        message(FATAL_ERROR "koffi ${VERSION} was not installed: npm ended with ${code}, found version ${version}")
    endif()
endif()
message(STATUS "koffi ${version} is installed")
