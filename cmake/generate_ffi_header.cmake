# Writes the declarations-only header that cffi and LuaJIT read: every public header but execq/uv.h and execq/dump_file.h, preprocessed, one
# declaration a line. It needs nothing but the C compiler, and gcc and clang give the same bytes.
#
#   cmake -DCOMPILER=<cc> -DINCLUDE_DIR=<dir that holds execq/> -DOUTPUT=<file> -P generate_ffi_header.cmake
cmake_minimum_required(VERSION 3.25)

foreach(variable COMPILER INCLUDE_DIR OUTPUT)
    if(NOT ${variable})
        message(FATAL_ERROR "generate_ffi_header: -D${variable}=… is missing")
    endif()
endforeach()

# One C file with all the headers. The version is made of macros, which are lost here: constants take their place.
function(write_source path)
    file(GLOB headers RELATIVE ${INCLUDE_DIR} ${INCLUDE_DIR}/execq/*.h)
    list(SORT headers)
    list(REMOVE_ITEM headers execq/uv.h execq/dump_file.h)
    set(text "")
    foreach(header IN LISTS headers)
        string(APPEND text "#include <${header}>\n")
    endforeach()
    string(APPEND text "enum {\n")
    foreach(part MAJOR MINOR PATCH)
        string(APPEND text "    execq_ffi_${part} = EXECQ_VERSION_${part},\n")
    endforeach()
    string(APPEND text "};\n")
    file(WRITE ${path} "${text}")
endfunction()

function(preprocess source result)
    execute_process(
        COMMAND ${COMPILER} -E -P -x c -std=c99 -DEXECQ_FFI -I${INCLUDE_DIR} ${source}
        OUTPUT_VARIABLE text ERROR_VARIABLE errors RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
        message(FATAL_ERROR "generate_ffi_header: ${COMPILER} -E failed (${code})\n${errors}")
    endif()
    string(REPLACE "execq_ffi_" "EXECQ_VERSION_" text "${text}")
    set(${result} "${text}" PARENT_SCOPE)
endfunction()

# Compilers differ in blanks and line ends only, so these are laid out anew.
function(lay_out text result)
    string(REGEX REPLACE "[ \t\r\n]+" " " text "${text}")
    string(REGEX REPLACE "\\((-?[0-9]+)\\)" "\\1" text "${text}") # the status map's numbers
    string(REPLACE ", }" " }" text "${text}")                     # an enum's last comma
    set(done "")
    while(text MATCHES "^([^{}]*){([^{}]*)}")
        set(before "${CMAKE_MATCH_1}")
        set(body "${CMAKE_MATCH_2}")
        string(LENGTH "${CMAKE_MATCH_0}" length)
        string(SUBSTRING "${text}" ${length} -1 text)
        string(STRIP "${body}" body)
        if(body MATCHES ";")
            string(REPLACE "; " ";\n    " body "${body}")
        else()
            string(REPLACE ", " ",\n    " body "${body}")
        endif()
        string(REPLACE "; " ";\n" before "${before}")
        string(APPEND done "${before}{\n    ${body}\n}")
    endwhile()
    string(REPLACE "; " ";\n" text "${text}")
    string(STRIP "${done}${text}" done)
    set(${result} "${done}\n" PARENT_SCOPE)
endfunction()

write_source(${OUTPUT}.c)
preprocess(${OUTPUT}.c text)
file(REMOVE ${OUTPUT}.c)
lay_out("${text}" text)
if(NOT text MATCHES "execq_status execq_submit\\(" OR text MATCHES "#|__attribute__")
    message(FATAL_ERROR "generate_ffi_header: the result is not made of plain declarations:\n${text}")
endif()
file(WRITE ${OUTPUT} "/* Generated from include/execq: declarations only, for cffi and LuaJIT. */\n${text}")
